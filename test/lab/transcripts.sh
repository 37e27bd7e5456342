#!/usr/bin/env bash
# In the kernel lab: recordings of the real iscsiadm, replayed on ours against LIO, as they were made; then the Rocky Linux
# guide's own commands with `alias iscsiadm=lunctl-iscsiadm`, down to a mounted XFS. LAB_TRANSCRIPTS: which recordings.
# LAB_TRANSCRIPTS_REAL=1 replays them on open-iscsi itself: what differs then is the replay's fault.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# The places are those of the recordings.
unset LUNCTL_CONFIG_DIR LUNCTL_DB_DIR LUNCTL_RUN_DIR
cd "$ROOT"
modprobe nbd
if [ "${LAB_TRANSCRIPTS_REAL-}" = 1 ]; then
  echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
  sed -i 's/^iscsid.startup = .*/iscsid.startup = \/bin\/true/' /etc/iscsi/iscsid.conf
  iscsid
  LUNCTL_TRANSCRIPTS_PROGRAM=$(command -v iscsiadm)
  export LUNCTL_TRANSCRIPTS_PROGRAM
fi

step 'the recordings'
read -ra recordings <<<"${LAB_TRANSCRIPTS:-guide mutual-chap}"
code=0
node "$PROGRAMS/transcripts/run.js" --ground lio "${recordings[@]}" | tee /tmp/transcripts.out || code=$?
echo "FIGURE $(grep '^transcripts:' /tmp/transcripts.out)"
[ $code = 0 ] || exit 1
[ "${LAB_TRANSCRIPTS_REAL-}" != 1 ] || { echo 'LAB PASSED'; exit 0; }
no_leftovers

step "the guide's commands, to the letter"
truncate -s 40G /var/tmp/fs.img
mkfs.xfs -q /var/tmp/fs.img
mkdir -p /var/lib/iscsi_disks
mount -o loop /var/tmp/fs.img /var/lib/iscsi_disks
targetcli >/tmp/targetcli.out 2>&1 <<END || :
set global auto_add_default_portal=true
/backstores/fileio create disk01 /var/lib/iscsi_disks/disk01.img 10G
/iscsi create $TARGET
/iscsi/$TARGET/tpg1/luns create /backstores/fileio/disk01
/iscsi/$TARGET/tpg1/acls create $INITIATOR
/iscsi/$TARGET/tpg1/acls/$INITIATOR set auth userid=username password=password
/iscsi/$TARGET/tpg1 set attribute authentication=1
exit
END
ip address replace 192.168.219.101/32 dev lo
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
bash test/transcripts/rocky-guide.sh disk || { cat /tmp/targetcli.out; exit 1; }
no_leftovers

echo 'LAB PASSED'
