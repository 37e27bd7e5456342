#!/usr/bin/env bash
# In the kernel lab: our target, and the kernel's initiator with the Rocky Linux guide's own commands, down to a mounted disk.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"

step 'our target with CHAP'
(umask 077; printf password >/tmp/secret)
mkdir -p /var/lib/iscsi_disks
serve_disk /var/lib/iscsi_disks/disk01.img=10G --chap-user username --chap-secret-file /tmp/secret
cat /tmp/serve.out

step 'the initiator, as the guide sets it up'
echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
sed -i -e 's/^iscsid.startup = .*/iscsid.startup = \/bin\/true/' \
  -e 's/^#node.session.auth.authmethod = CHAP/node.session.auth.authmethod = CHAP/' \
  -e 's/^#node.session.auth.username = .*/node.session.auth.username = username/' \
  -e 's/^#node.session.auth.password = .*/node.session.auth.password = password/' /etc/iscsi/iscsid.conf
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
iscsid

step 'discovery, records, login, session'
run iscsiadm -m discovery -t sendtargets -p 127.0.0.1 | tee /tmp/out
expect "^127.0.0.1:3260,1 $TARGET$" /tmp/out
run iscsiadm -m node -o show >/tmp/out
expect "node.name = $TARGET" /tmp/out
run iscsiadm -m node --login
run iscsiadm -m session -o show | tee /tmp/out
expect "^tcp: \[1\] 127.0.0.1:3260,1 $TARGET \(non-flash\)" /tmp/out
until [ -b /dev/sda ]; do sleep 0.1; done
udevadm settle
cat /proc/partitions
test "$(blockdev --getsize64 /dev/sda)" = 10737418240

step 'label, partition, XFS, mount'
run parted --script /dev/sda 'mklabel gpt'
run parted --script /dev/sda 'mkpart primary 0% 100%'
until [ -b /dev/sda1 ]; do sleep 0.1; done
run mkfs.xfs -i size=1024 -s size=4096 /dev/sda1
mount /dev/sda1 /mnt
df -hT /mnt
dd if=/dev/urandom of=/mnt/file bs=1M count=48 status=none
sum=$(sha256sum </mnt/file)
umount /mnt
xfs_repair -n /dev/sda1 >/dev/null 2>&1
mount /dev/sda1 /mnt
test "$sum" = "$(sha256sum </mnt/file)"
step 'discard reaches the file, and fio verifies'
rm /mnt/file && sync
blocks=$(stat -c %b /var/lib/iscsi_disks/disk01.img)
fstrim /mnt
test "$(stat -c %b /var/lib/iscsi_disks/disk01.img)" -lt "$blocks"
fio --name=lab --directory=/mnt --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --iodepth=16 --size=32M \
  --verify=crc32c --do_verify=1 --minimal >/tmp/fio.out
umount /mnt
run iscsiadm -m session -P 3 >/tmp/out
expect 'Attached scsi disk sda' /tmp/out

step 'logout, and what a wrong secret gets'
if dmesg | grep -iE 'I/O error|Buffer I/O|detected conn error'; then echo 'the kernel met errors'; exit 1; fi
run iscsiadm -m node --logout
iscsiadm -m node -T "$TARGET" -o update -n node.session.auth.password -v wrongsecret12
fails 24 iscsiadm -m node --login
end_serve
expect 'login +'"$INITIATOR" /tmp/serve.out
expect_not 'password' /tmp/serve.out
echo 'LAB PASSED'
