#!/usr/bin/env bash
# In the kernel lab: our target configured by the guides' own targetcli sessions, served to the kernel's initiator: login with and
# without what it takes, XFS, fio --verify with digests and several parameter sets, changes while it runs; and its saved
# configuration in targetcli on LIO, and LIO's here. LAB_FIO_MIB: how much each fio writes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
mib=${LAB_FIO_MIB:-16}
config=/etc/lunctl/saveconfig.json
volume=/dev/VgISCSI/LvISCSI
second=iqn.2018-11.local.serotoninwg.iscsi:iscsi-storage1
shell() { run lunctl target shell; }
# The lines that a guide shows for a command, in its order, without the prompts before them.
expect_lines() {
  sed -E 's/^(\/[^ ]*> )+//' /tmp/shell.out | grep -Fxf /tmp/expected >/tmp/found || :
  diff /tmp/expected /tmp/found || { cat /tmp/shell.out; exit 1; }
}

step 'the Rocky guide, typed into our shell'
mkdir -p /var/lib/iscsi_disks
shell >/tmp/shell.out <<END
cd backstores/fileio
create disk01 /var/lib/iscsi_disks/disk01.img 10G
cd /iscsi
create $TARGET
cd $TARGET/tpg1/luns
create /backstores/fileio/disk01
cd ../acls
create $INITIATOR
cd $INITIATOR
set auth userid=username
set auth password=password
exit
END
cat >/tmp/expected <<END
Created fileio disk01 with size 10737418240
Created target $TARGET.
Created TPG 1.
Global pref auto_add_default_portal=true
Created default portal listening on all IPs (0.0.0.0), port 3260.
Created LUN 0.
Created Node ACL for $INITIATOR
Created mapped LUN 0.
Parameter userid is now 'username'.
Parameter password is now 'password'.
Global pref auto_save_on_exit=true
Last 10 configs saved in /etc/lunctl/backup/.
Configuration saved to $config
END
expect_lines
test "$(stat -c %a $config)" = 600

step 'the CentOS guide: a logical volume, at a port of its own beside the other target'
truncate -s 2G /var/tmp/ssd.img
ssd=$(losetup --find --show /var/tmp/ssd.img)
pvcreate -q "$ssd" && vgcreate -q VgISCSI "$ssd" && lvcreate -q -n LvISCSI -l 100%FREE VgISCSI
ip addr add 192.168.90.1/24 dev lo
shell >/tmp/shell.out <<END
ls
cd /backstores/block
create name=block_backend_LvISCSI dev=$volume
cd ../..
ls
cd iscsi
create $second
cd $second/tpg1/luns
create /backstores/block/block_backend_LvISCSI
cd ../..
cd tpg1/portals/
delete 0.0.0.0 3260
create 192.168.90.1 ip_port=3261
cd /iscsi/$second/tpg1/acls
create $INITIATOR
ls /
cd /
saveconfig
exit
END
cat /tmp/shell.out
expect "Created block storage object block_backend_LvISCSI using $volume." /tmp/shell.out
expect "o- block_backend_LvISCSI \.+ \[$volume \(2.0GiB\) write-thru activated\]" /tmp/shell.out
expect "o- lun0 \.+ \[block/block_backend_LvISCSI \($volume\) \(default_tg_pt_gp\)\]" /tmp/shell.out

step 'serve'
node "$ROOT/bin/run.js" serve --config $config >/tmp/serve.out 2>&1 &
serve=$!
until grep -q 'listening on' /tmp/serve.out; do kill -0 $serve || { cat /tmp/serve.out; exit 1; }; sleep 0.2; done
cat /tmp/serve.out
refuse 28 lunctl serve $volume --portal 127.0.0.1:3270
refuse 28 lunctl serve /var/lib/iscsi_disks/disk01.img --portal 127.0.0.1:3270

step 'open-iscsi: without credentials, with a wrong secret, without an ACL'
echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
sed -i 's/^iscsid.startup = .*/iscsid.startup = \/bin\/true/' /etc/iscsi/iscsid.conf
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
iscsid
run iscsiadm -m discovery -t sendtargets -p 127.0.0.1 | tee /tmp/out
expect "^127.0.0.1:3260,1 $TARGET$" /tmp/out
node_is() { iscsiadm -m node -T "$TARGET" -o update -n "$1" -v "$2"; }
# As LIO: credentials of an ACL are not asked for while the portal group says authentication=0.
expect "$TARGET .* auth none" /tmp/serve.out
run iscsiadm -m node -T "$TARGET" -p 127.0.0.1 --login
run iscsiadm -m node -T "$TARGET" --logout
run lunctl target set "/iscsi/$TARGET/tpg1" attribute authentication=1 | tee /tmp/out
expect "Parameter authentication is now '1'." /tmp/out
fails 24 iscsiadm -m node -T "$TARGET" -p 127.0.0.1 --login
node_is node.session.auth.authmethod CHAP
node_is node.session.auth.username username
node_is node.session.auth.password wrongsecret12
fails 24 iscsiadm -m node -T "$TARGET" -p 127.0.0.1 --login
node_is node.session.auth.password password
iscsiadm -m iface -I stranger -o new
iscsiadm -m iface -I stranger -o update -n iface.initiatorname -v iqn.2022-08.com.test:stranger
iscsiadm -m node -T "$TARGET" -p 127.0.0.1,1 -I stranger -o new
fails 24 iscsiadm -m node -T "$TARGET" -p 127.0.0.1 -I stranger --login
iscsiadm -m node -T "$TARGET" -I stranger -o delete
iscsiadm -m iface -I stranger -o delete
# A target that refuses closes the connection, which the kernel may call an error; after this there is to be none.
dmesg --clear

step 'login, and the disk down to a mounted XFS'
disk() { readlink -f "/dev/disk/by-path/ip-127.0.0.1:3260-iscsi-$TARGET-lun-$1"; }
log_in_kernel() {
  run iscsiadm -m node -T "$TARGET" -p 127.0.0.1 --login
  until [ -b "/dev/disk/by-path/ip-127.0.0.1:3260-iscsi-$TARGET-lun-0" ]; do sleep 0.2; done
  udevadm settle
}
fio_verify() { # FILE-OR-DEVICE
  fio --name=lab --filename="$1" --direct=1 --ioengine=libaio --rw=randwrite --bsrange=4k-256k --iodepth=16 --size="${mib}M" \
    --verify=crc32c --do_verify=1 --minimal >/tmp/fio.out
}
log_in_kernel
dev=$(disk 0)
run parted --script "$dev" 'mklabel gpt'
run parted --script "$dev" 'mkpart primary 0% 100%'
udevadm settle
until [ -b "${dev}1" ]; do sleep 0.1; done
run mkfs.xfs -q -i size=1024 -s size=4096 "${dev}1"
mount "${dev}1" /mnt
df -hT /mnt
fio_verify /mnt/fio

step 'changes under the mounted disk: a LUN more, a LUN grown, a LUN less'
lunctl target sessions | tee /tmp/out
expect "$INITIATOR" /tmp/out
run lunctl target create /backstores/ramdisk ram1 64M
run lunctl target create "/iscsi/$TARGET/tpg1/luns" /backstores/ramdisk/ram1
run iscsiadm -m session --rescan
until [ -b "$(disk 1)" ]; do sleep 0.2; done
fio_verify "$(disk 1)"
grown=$(disk 1)
run lunctl target delete "/iscsi/$TARGET/tpg1/luns" lun1
fails 1 dd if="$grown" of=/dev/null bs=4k count=1 iflag=direct
run lunctl target grow /backstores/fileio/disk01 12G
run iscsiadm -m session --rescan
until [ "$(blockdev --getsize64 "$dev")" = 12884901888 ]; do sleep 0.2; done
umount /mnt
xfs_repair -n "${dev}1" >/dev/null 2>&1
echo 1 >"/sys/block/$(basename "$grown")/device/delete"
run iscsiadm -m node -T "$TARGET" --logout

step 'digests, bursts and R2Ts'
conn='node.conn[0].iscsi' sess=node.session.iscsi
parameters() { # HEADERDIGEST DATADIGEST INITIALR2T IMMEDIATE FIRSTBURST MAXBURST
  node_is "$conn.HeaderDigest" "$1"
  node_is "$conn.DataDigest" "$2"
  node_is "$sess.InitialR2T" "$3"
  node_is "$sess.ImmediateData" "$4"
  node_is "$sess.FirstBurstLength" "$5"
  node_is "$sess.MaxBurstLength" "$6"
  log_in_kernel
  iscsiadm -m session -P 2 | grep -E 'Digest|Burst|InitialR2T|ImmediateData'
  fio_verify "$(disk 0)1"
  iscsiadm -m node -T "$TARGET" --logout
}
parameters CRC32C CRC32C No Yes 262144 16776192
parameters None CRC32C Yes No 4096 4096
parameters CRC32C None Yes Yes 65536 262144
parameters None None No No 512 8192

step 'the logical volume'
run iscsiadm -m discovery -t sendtargets -p 192.168.90.1:3261 >/tmp/out
expect "^192.168.90.1:3261,1 $second$" /tmp/out
iscsiadm -m node -T $second -p 192.168.90.1:3261 -o update -n node.session.auth.authmethod -v None
run iscsiadm -m node -T $second -p 192.168.90.1:3261 --login
path=/dev/disk/by-path/ip-192.168.90.1:3261-iscsi-$second-lun-0
until [ -b $path ]; do sleep 0.2; done
fio_verify "$(readlink -f $path)"
iscsiadm -m node -T $second --logout
# The removed LUN's last command is the one error that belongs here.
if dmesg | grep -iE 'detected conn error|ping timeout|iscsi: .*error'; then echo 'the kernel met errors'; exit 1; fi
cat /tmp/serve.out
expect "refuse .*$INITIATOR" /tmp/serve.out
expect_not 'wrongsecret12' /tmp/serve.out

step 'our configuration on LIO, and the path that LIO holds'
run lunctl target saveconfig
end_serve
iscsiadm -m node -o delete
cp $config /tmp/ours.json
expect_not '"name": "ram1".*lun' /tmp/ours.json
lunctl target ls / >/tmp/ours.tree
targetcli restoreconfig /tmp/ours.json | tee /tmp/out
expect 'Configuration restored' /tmp/out
expect_not 'not|error' /tmp/out
targetcli ls / >/tmp/lio.tree
# The portals of a target that is not served have no state of their own; fabrics that only one side has are left out.
plain() { grep -vE 'vhost|xen-pvscsi|user:' "$1" | sed -E 's/ \.+ / /'; }
diff <(plain /tmp/ours.tree) <(plain /tmp/lio.tree)
refuse 28 lunctl serve /var/lib/iscsi_disks/disk01.img --portal 127.0.0.1:3270

step "LIO's configuration here"
targetcli "/iscsi/$TARGET/tpg1" set attribute demo_mode_write_protect=0 >/dev/null
targetcli saveconfig /tmp/lio.json >/dev/null
targetcli clearconfig confirm=True >/dev/null
node "$ROOT/bin/run.js" serve --config /tmp/lio.json >/tmp/serve.out 2>&1 &
serve=$!
until grep -q 'listening on' /tmp/serve.out; do kill -0 $serve || { cat /tmp/serve.out; exit 1; }; sleep 0.2; done
cat /tmp/serve.out
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
iscsiadm -m discovery -t sendtargets -p 127.0.0.1
node_is node.session.auth.authmethod CHAP
node_is node.session.auth.username username
node_is node.session.auth.password password
log_in_kernel
sum=$(dd if="$(disk 0)" bs=1M count=32 iflag=direct status=none | sha256sum)
test "$sum" = "$(dd if=/var/lib/iscsi_disks/disk01.img bs=1M count=32 status=none | sha256sum)"
fio_verify "$(disk 0)1"
iscsiadm -m node -T "$TARGET" --logout
end_serve
echo 'LAB PASSED'
