#!/usr/bin/env bash
# In the kernel lab: persistent reservations of one LUN of LIO by two initiators, ours with its lun commands and open-iscsi with
# sg_persist. Each sees what the other did, who is shut out gets errors at once, and preempting fences.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"
KERNEL=$INITIATOR-kernel

step 'LIO with two initiators'
lio_target 64
# LIO writes its reservations there, and refuses to change them where it cannot.
mkdir -p "$(cat /sys/kernel/config/target/dbroot)/pr"
lio_acl "$KERNEL"

step 'our session'
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
run lunctl node login "$TARGET" -p 127.0.0.1 --attach none --timeout 60
uri=$(session_field nbd)
write_ours() { qemu-io -f raw -c 'write -P 0x11 0 4k' "$uri"; }

step "the kernel's session"
echo "InitiatorName=$KERNEL" >/etc/iscsi/initiatorname.iscsi
sed -i 's/^iscsid.startup = .*/iscsid.startup = \/bin\/true/' /etc/iscsi/iscsid.conf
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
iscsid
iscsiadm -m discovery -t sendtargets -p 127.0.0.1
iscsiadm -m node --login
until [ -b /dev/sda ]; do sleep 0.1; done
udevadm settle
write_theirs() { dd if=/dev/zero of=/dev/sda bs=4k count=1 oflag=direct status=none; }
write_ours
write_theirs

step 'ours reserves: the other sees it and cannot write'
run lunctl lun register lun0 --key 0xa
run lunctl lun reserve lun0 --key 0xa --type write-exclusive
run sg_persist --in -k /dev/sda | tee /tmp/out
expect '^ +0xa$' /tmp/out
run sg_persist --in -r /dev/sda | tee /tmp/out
expect 'Key=0xa' /tmp/out
expect 'type: Write Exclusive' /tmp/out
fails 1 write_theirs
write_ours

step 'the other preempts and aborts: ours sees it, and its writes fail at once'
run sg_persist --out --register --param-sark=0xb /dev/sda
run sg_persist --out --preempt-abort --param-rk=0xb --param-sark=0xa --prout-type=1 /dev/sda
run lunctl lun reservations lun0 | tee /tmp/out
expect '0x0*b\b' /tmp/out
expect_not '0x0*a\b' /tmp/out
began=${EPOCHREALTIME/./}
write_ours >/tmp/out 2>&1 || :
echo "refused after $(((${EPOCHREALTIME/./} - began) / 1000)) ms, the start of qemu-io included"
expect 'write failed: Input/output error' /tmp/out
refuse 43 lunctl lun reserve lun0 --key 0xa --type write-exclusive
write_theirs

step 'ours comes back and takes it over'
run lunctl lun register lun0 --key 0xc
run lunctl lun preempt lun0 --key 0xc --victim-key 0xb --abort
# The first command meets the unit attention that says so.
sg_persist --in -r /dev/sda >/dev/null 2>&1 || :
run sg_persist --in -r /dev/sda | tee /tmp/out
expect 'Key=0xc' /tmp/out
write_ours
fails 1 write_theirs

step 'cleared: both can write'
run lunctl lun clear lun0 --key 0xc
run sg_persist --in -k /dev/sda | tee /tmp/out
expect 'NO registered reservation keys' /tmp/out
write_theirs
write_ours
iscsiadm -m node --logout
lunctl node logout
no_leftovers
echo 'LAB PASSED'
