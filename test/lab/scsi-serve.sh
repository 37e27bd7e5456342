#!/usr/bin/env bash
# In the kernel lab: our target's SCSI side as sg3-utils see it through the kernel's own initiator, on disks of their own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
disks=/var/lib/iscsi_disks
trap '[ $? = 0 ] || cat /tmp/serve.out' EXIT
mkdir -p $disks

log_in_kernel() {
  run iscsiadm -m node --login >/dev/null
  until [ -b /dev/sda ] && [ -b /dev/sdb ]; do sleep 0.1; done
  udevadm settle
}
# Says what the tool says, and keeps it.
say() { printf '$ %s\n' "$*"; "$@" >/tmp/out 2>&1 || { cat /tmp/out; echo "failed: $*"; exit 1; }; cat /tmp/out; }

step 'two disks, and the kernel as initiator'
modprobe scsi_dh_alua 2>/dev/null || true
serve_disk $disks/disk01.img=64M $disks/disk02.img=64M
echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
# In emulation an answer to a ping may take longer than the kernel waits, which is not what this is about.
sed -i -e 's/^iscsid.startup = .*/iscsid.startup = \/bin\/true/' \
  -e 's/^node.conn\[0\].timeo.noop_out_interval = .*/node.conn[0].timeo.noop_out_interval = 0/' /etc/iscsi/iscsid.conf
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
iscsid
run iscsiadm -m discovery -t sendtargets -p 127.0.0.1 >/dev/null
log_in_kernel

step 'what the disk says it is'
say sg_inq /dev/sda
expect 'TPGS=1 +3PC=1' /tmp/out
say sg_vpd --page=di /dev/sda
expect '0x6001405' /tmp/out
expect 'Relative target port: 0x1' /tmp/out
say sg_vpd --page=bl /dev/sda
expect 'Maximum compare and write length: 128 blocks' /tmp/out
say sg_vpd --page=lbpv /dev/sda
expect 'LBPU\): 1' /tmp/out
say sg_rtpg --decode /dev/sda
expect 'target port group id : 0x1 , Pref=0' /tmp/out
expect 'active/optimized' /tmp/out
say sg_opcodes --rctd /dev/sda
expect 'Extended copy' /tmp/out
expect 'Sanitize, overwrite' /tmp/out
say sg_rtpg --extended --decode /dev/sda

step 'EXTENDED COPY'
dd if=/dev/urandom of=/dev/sda bs=1M count=8 oflag=direct status=none
say sg_copy_results --params /dev/sda
expect 'Maximum target descriptor count: 16' /tmp/out
say sg_xcopy if=/dev/sda of=/dev/sdb bs=512 count=16384
cmp -n $((8 * 1024 * 1024)) <(dd if=/dev/sda bs=1M count=8 iflag=direct status=none) \
  <(dd if=/dev/sdb bs=1M count=8 iflag=direct status=none)

step 'UNMAP and GET LBA STATUS'
say sg_unmap --lba=0 --num=2048 --force /dev/sdb
say sg_get_lba_status --lba=0 /dev/sdb
expect 'blocks: +2048 +deallocated' /tmp/out

step 'COMPARE AND WRITE'
(dd if=/dev/zero bs=512 count=1; dd if=/dev/urandom bs=512 count=1) 2>/dev/null >/tmp/caw
say sg_compare_and_write --in=/tmp/caw --lba=0 --num=1 /dev/sdb
fails 14 sg_compare_and_write --in=/tmp/caw --lba=0 --num=1 /dev/sdb

step 'persistent reservations that outlive the server'
say sg_persist --out --register --param-sark=abc --param-aptpl /dev/sda
say sg_persist --out --reserve --param-rk=abc --prout-type=5 /dev/sda
say sg_persist --in --report-capabilities /dev/sda
expect 'PTPL_A\): 1' /tmp/out
run iscsiadm -m node --logout >/dev/null
end_serve
serve_disk $disks/disk01.img=64M $disks/disk02.img=64M
log_in_kernel
say sg_persist --in --read-reservation /dev/sda
expect 'Key ?= ?0xabc' /tmp/out
# open-iscsi counts its ISIDs up, so that this login is another nexus: it has to register before it may clear.
say sg_persist --out --register --param-sark=def /dev/sda
say sg_persist --out --clear --param-rk=def /dev/sda

step 'SANITIZE'
say sg_sanitize --block --quick --wait /dev/sdb
say sg_get_lba_status --lba=0 /dev/sdb
expect 'blocks: +131072 +deallocated' /tmp/out
printf '\xc0\xff\xee\x00' >/tmp/pattern
say sg_sanitize --overwrite --pattern=/tmp/pattern --ipl=4 --quick --wait /dev/sdb
tail -c 4 $disks/disk02.img | cmp - /tmp/pattern
say sg_turs --progress /dev/sdb

step 'logout'
if dmesg | grep -iE 'I/O error|Buffer I/O|detected conn error'; then echo 'the kernel met errors'; exit 1; fi
run iscsiadm -m node --logout >/dev/null
end_serve
echo 'LAB PASSED'
