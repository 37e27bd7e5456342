# Shared by the lab scripts that have LIO as their target: its set-up by targetcli, and its configfs for what must be quick.
# shellcheck shell=bash disable=SC2034
TPG=/sys/kernel/config/target/iscsi/$TARGET/tpgt_1
ACL=$TPG/acls/$INITIATOR
IMAGES=/var/lib/iscsi_disks

# lio_target MEGABYTES...: the target with one fileio LUN for each size, our initiator in its ACL, no authentication.
# The images stand in memory. One run of targetcli for all: its start is what takes time.
lio_target() {
  local number=0 size
  mkdir -p "$IMAGES"
  {
    echo "/iscsi create $TARGET"
    for size in "$@"; do
      echo "/backstores/fileio create disk0$number $IMAGES/disk0$number.img ${size}M"
      echo "/iscsi/$TARGET/tpg1/luns create /backstores/fileio/disk0$number"
      number=$((number + 1))
    done
    echo "/iscsi/$TARGET/tpg1/acls create $INITIATOR"
    echo exit
  } | targetcli >/tmp/targetcli.out 2>&1 || :
  # A session on a pipe ends well whatever went wrong in it.
  test -d "$ACL" && test "$(find "$TPG/lun" -maxdepth 1 -name 'lun_*' | wc -l)" = "$#" ||
    { cat /tmp/targetcli.out; exit 1; }
}
lio_enable() { echo "$1" >"$TPG/enable"; }
# lio_parameter KEY VALUE...: what the target portal group agrees to at most.
lio_parameter() {
  while [ $# -gt 0 ]; do
    echo "$2" >"$TPG/param/$1"
    shift 2
  done
}
# lio_chap USER SECRET MUTUALUSER MUTUALSECRET: wanted by the target and for discovery, and proven in return.
lio_chap() {
  targetcli >/tmp/targetcli.out 2>&1 <<END || :
/iscsi/$TARGET/tpg1 set attribute authentication=1
/iscsi/$TARGET/tpg1/acls/$INITIATOR set auth userid=$1 password=$2 mutual_userid=$3 mutual_password=$4
/iscsi set discovery_auth enable=1 userid=$1 password=$2 mutual_userid=$3 mutual_password=$4
exit
END
  test "$(cat "$TPG/attrib/authentication" "$ACL/auth/authenticate_target")" = $'1\n1' ||
    { cat /tmp/targetcli.out; exit 1; }
}
# lio_open_target NAME: a second target, without disks, that admits everyone.
lio_open_target() {
  targetcli >/tmp/targetcli.out 2>&1 <<END || :
/iscsi create $1
/iscsi/$1/tpg1 set attribute authentication=0 generate_node_acls=1
exit
END
  test -d "${TPG/$TARGET/$1}" || { cat /tmp/targetcli.out; exit 1; }
}
# lio_network: a network namespace for the initiator, in which LIO is 10.9.0.1. $LIO_CUT takes the network away without a
# word to either side, $LIO_MEND brings it back.
LIO_CUT='nsenter --net=/proc/1/ns/net ip link set lab0 down'
LIO_MEND='nsenter --net=/proc/1/ns/net ip link set lab0 up'
lio_network() {
  ip netns add initiator
  ip link add lab0 type veth peer name lab1 netns initiator
  ip addr add 10.9.0.1/24 dev lab0
  ip link set lab0 up
  ip -n initiator addr add 10.9.0.2/24 dev lab1
  ip -n initiator link set lab1 up
  ip -n initiator link set lo up
}
# Not ip-netns(8): that hides configfs.
in_initiator() { nsenter --net=/run/netns/initiator "$@"; }
# lio_block_lun DEVICE: one more LUN of the target, on a block device.
lio_block_lun() {
  targetcli >/tmp/targetcli.out 2>&1 <<END || :
/backstores/block create block $1
/iscsi/$TARGET/tpg1/luns create /backstores/block/block
exit
END
  grep -q 'Created LUN' /tmp/targetcli.out || { cat /tmp/targetcli.out; exit 1; }
}
# lio_acl NAME: one more initiator that may use every LUN.
lio_acl() {
  targetcli "/iscsi/$TARGET/tpg1/acls" create "$1"
}
