#!/usr/bin/env bash
# In the kernel lab: a LUN of LIO grows under a mounted XFS that is being written to; the kernel device grows with it by
# netlink, partition and file system by `disk grow`, and where there is only nbd-client it says what to do. Then links in /dev/disk/by-path, and what becomes of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"
LINK=/dev/disk/by-path/ip-127.0.0.1:3260-iscsi-$TARGET-lun-0

size() { blockdev --getsize64 "$dev"; }
mib() { echo $(($1 * 1048576)); }
lun_size() { # MEBIBYTES: LIO says nothing when its disk changes, so it is asked.
  truncate -s "$1M" /var/tmp/loop.img
  losetup -c "$loop"
  lunctl session rescan | tee /tmp/rescan.out
}
write_until() { # FILE: synced writes until that file is there; fails when one of them does.
  # With pauses: in emulation the worker would otherwise not answer a command line within its two seconds.
  until [ -e "$1" ]; do dd if=/dev/urandom of=/mnt/busy bs=64k count=8 conv=fsync status=none || return 1; sleep 1; done
}
login() { lunctl node login "$TARGET" -p 127.0.0.1 --attach nbd --connections "$1" --timeout 60; }

step 'LIO with a loop device of 400 MiB'
lio_target
truncate -s 400M /var/tmp/loop.img
loop=$(losetup -f --show /var/tmp/loop.img)
lio_block_lun "$loop"
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"

step 'four connections by netlink; XFS on a partition'
login 4
dev=$(session_field path)
grep '^lunctl-' "/sys/block/$(basename "$dev")/backend"
test "$(readlink -f "$LINK")" = "$dev"
run lunctl disk label "$dev" >/dev/null
run lunctl disk partition "$dev" 0% 100% >/dev/null
test "$(readlink -f "$LINK-part1")" = "${dev}p1"
mkfs.xfs -q "${dev}p1"
mount "${dev}p1" /mnt
dd if=/dev/urandom of=/mnt/kept bs=1M count=8 conv=fsync status=none
sum=$(sha256sum </mnt/kept)
df -BM /mnt

step 'the LUN grows to 600 MiB while it is written to'
write_until /tmp/stop & writer=$!
lun_size 600
expect 'grown' /tmp/rescan.out
expect "$dev has grown with it" /tmp/rescan.out
test "$(size)" = "$(mib 600)"
test "$(session_field sizeBytes)" = "$(mib 600)"
for try in 1 2 3; do
  run lunctl disk grow "$dev" && break
  test $try -lt 3
done
touch /tmp/stop
wait "$writer"
df -BM /mnt | tee /tmp/df
test "$(df -BM --output=size /mnt | tail -1 | tr -dc 0-9)" -gt 500
fallocate -l 450M /mnt/more
dd if=/dev/urandom of=/mnt/more bs=1M seek=434 count=16 conv=notrunc,fsync status=none
umount /mnt
sgdisk -v "$dev" | tee /tmp/verify
expect 'No problems found' /tmp/verify
run xfs_repair -n "${dev}p1" >/tmp/repair.out 2>&1 || { cat /tmp/repair.out; exit 1; }
mount "${dev}p1" /mnt
test "$sum" = "$(sha256sum </mnt/kept)"
umount /mnt
echo 'FIGURE a LUN of 400 MiB grew to 600 under a mounted XFS that was written to; df shows it without logout'

step 'the LUN shrinks: a warning, and the device keeps its size'
lun_size 590
expect 'DATA BEYOND THE NEW END IS GONE' /tmp/rescan.out
test "$(size)" = "$(mib 600)"
fails 1 dd if="$dev" of=/dev/null bs=1M skip=595 count=1 iflag=direct status=none
dd if="$dev" of=/dev/null bs=1M count=1 iflag=direct status=none
lun_size 600

step 'links go with the session; that of a stranger stays'
lunctl node logout >/dev/null
test ! -L "$LINK" && test ! -L "$LINK-part1"
ln -s "$loop" "$LINK"
login 1 >/dev/null
test "$(readlink "$LINK")" = "$loop"
test "$(readlink -f "$LINK-part1")" = "$(session_field path)p1"
rm "$LINK"
lunctl node logout >/dev/null

step 'without koffi: it keeps its size until it is attached again'
export LUNCTL_WITHOUT_KOFFI=1
login 4
dev=$(session_field path)
lun_size 700
expect "$dev has its old size: detach and attach it" /tmp/rescan.out
test "$(session_field note)" = "$dev has its old size: detach and attach it to use all of it"
test "$(size)" = "$(mib 600)"
lunctl lun detach "$dev"
lunctl lun attach "$TARGET/0" --attach nbd
dev=$(session_field path)
test "$(size)" = "$(mib 700)"
unset LUNCTL_WITHOUT_KOFFI

step 'a killed worker: its links go with the next command'
test -L "$LINK"
kill -9 "$(pgrep -f '^lunctl session|worker-main')"
lunctl session show || :
test ! -L "$LINK" && test ! -L "$LINK-part1"
no_leftovers
echo 'LAB PASSED'
