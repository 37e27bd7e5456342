#!/usr/bin/env bash
# In the kernel lab: LIO, set up by targetcli as the Rocky Linux guide does, and our client in front of it, down to a mounted disk.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/guide.sh
. "$here/guide.sh"

step 'a sparse file system for the images: targetcli allocates what it creates'
truncate -s 40G /var/tmp/fs.img
mkfs.xfs -q /var/tmp/fs.img
mkdir -p /var/lib/iscsi_disks
mount -o loop /var/tmp/fs.img /var/lib/iscsi_disks

step 'targetcli, the commands of the guide'
# In one session, as the guide types them: each start of targetcli takes seconds in emulation.
targetcli >/tmp/targetcli.out 2>&1 <<END || :
cd /backstores/fileio
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
cd /iscsi/$TARGET/tpg1
set attribute authentication=1
exit
END
cat /tmp/targetcli.out
expect 'Created fileio disk01 with size 10737418240' /tmp/targetcli.out
expect 'Created mapped LUN 0' /tmp/targetcli.out
expect 'Parameter authentication is now' /tmp/targetcli.out

step 'initiator name and CHAP in iscsid.conf, as the guide edits them'
initiator_config username password

step discovery
run lunctl discovery sendtargets -p 127.0.0.1 | tee /tmp/out
expect "127.0.0.1:3260,1 $TARGET" /tmp/out
run lunctl node show >/tmp/out
expect "node.name = $TARGET" /tmp/out
expect 'node.session.auth.authmethod = CHAP' /tmp/out
expect_not '= password$' /tmp/out

step login
log_in --attach nbd
expect 'successful\.' /tmp/login.out
test "$(blockdev --getsize64 "$dev")" = 10737418240
run lunctl session show | tee /tmp/out
expect "^tcp: \[[0-9]*\] 127.0.0.1:3260,1 $TARGET \(non-flash\)" /tmp/out
refuse 15 lunctl node login --attach nbd

step "the guide's disk"
test "$(cat /sys/kernel/config/target/core/fileio_*/*/attrib/optimal_sectors)" = 16384
GUIDE_GRAIN=16384
guide_disk "$dev"
run lunctl disk list
step 'refusals: a mounted disk, a disk with data, a device that is not ours'
refuse 28 lunctl disk format "${dev}p1" --type ext4 --confirm "$TARGET/0"
refuse 28 lunctl disk label "$dev" --confirm "$TARGET/0"
refuse 28 lunctl node logout
refuse 7 lunctl disk label /dev/ram0
dd if=/dev/urandom of=/mnt/file bs=1M count=8 status=none
sum=$(sha256sum </mnt/file)
run lunctl disk unmount /mnt
before=$(dd if="$dev" bs=1M count=16 iflag=direct status=none | sha256sum)
refuse 40 lunctl disk label "$dev" </dev/null
refuse 40 lunctl disk format "${dev}p1" --type ext4 </dev/null
test "$before" = "$(dd if="$dev" bs=1M count=16 iflag=direct status=none | sha256sum)"
run lunctl disk mount "${dev}p1" /mnt
test "$sum" = "$(sha256sum </mnt/file)"
run lunctl disk unmount /mnt

step 'fio randwrite with verification on the kernel device and logout'
fio --name=lab --filename="${dev}p1" --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --iodepth=16 --size=${LAB_FIO_MIB:-8}M \
  --verify=crc32c --do_verify=1 --minimal >/tmp/fio.out
run lunctl node logout
test ! -e "/sys/block/${dev#/dev/}/pid"
refuse 21 lunctl session show

step 'fio through the NBD socket alone, in front of LIO'
run lunctl node login --attach none
uri=$(session_field nbd)
fio --name=lab --ioengine=nbd --uri="$uri" --rw=randwrite --bs=4k --iodepth=16 --size=${LAB_FIO_MIB:-8}M --verify=crc32c --do_verify=1 --minimal >/tmp/fio.out
run lunctl node logout

step 'login and size, again and again: usable when login returns'
for _ in $(seq "${LAB_LOGINS:-1}"); do
  lunctl node login --attach nbd >/dev/null
  test "$(blockdev --getsize64 "$(session_field path)")" = 10737418240
  lunctl node logout >/dev/null
done

step 'login failures: each its own line and exit code, nothing left behind'
printf 'wrongsecret12' >/tmp/wrong
chmod 600 /tmp/wrong
refuse 24 lunctl node login --attach none --chap-user username --chap-secret-file /tmp/wrong
no_leftovers
echo 'LAB PASSED'
