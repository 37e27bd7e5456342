#!/usr/bin/env bash
# In the kernel lab: a LUN of LIO that grows under a mounted file system on the kernel's nbd. The kernel's device follows by itself,
# `disk grow` brings partition and file system after it, while files are written and without a logout. LAB_FS says which file systems.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"

# Writes and checks files until it is told to stop; its end is its verdict.
keep_writing() {
  local round=0
  while [ ! -e /tmp/stop ]; do
    round=$((round + 1))
    head -c 2M /dev/urandom | tee /mnt/new | sha256sum >/tmp/sum
    sync -f /mnt
    [ "$(sha256sum </mnt/new)" = "$(cat /tmp/sum)" ] || return 1
    mv /mnt/new "/mnt/kept.$((round % 4))"
  done
  echo "  $round files written and read meanwhile"
}

step 'LIO with a loop device, a session'
mib=512
truncate -s ${mib}M /var/tmp/loop.img
loop=$(losetup -f --show /var/tmp/loop.img)
lio_target
lio_block_lun "$loop"
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
run lunctl discovery sendtargets -p 127.0.0.1
run lunctl node login --attach nbd
for type in ${LAB_FS:-xfs}; do
  step "$type on $mib MiB"
  run lunctl disk label nbd0 --confirm "$TARGET/0"
  run lunctl disk partition nbd0
  run lunctl disk format nbd0p1 --type "$type" --confirm "$TARGET/0" >/tmp/mkfs.out
  run lunctl disk mount nbd0p1 /mnt
  before=$(stat -f -c '%S * %b' /mnt)
  rm -f /tmp/stop
  keep_writing &
  writer=$!
  mib=$((mib + 256))
  truncate -s ${mib}M /var/tmp/loop.img
  losetup -c "$loop"
  run lunctl session rescan
  test "$(blockdev --getsize64 /dev/nbd0)" = $((mib * 1048576))
  run lunctl disk grow nbd0
  # 250 of the 256 MiB at least arrive in the file system.
  test $(($(stat -f -c '%S * %b' /mnt) - before)) -ge $((250 * 1048576))
  run df -hT /mnt
  touch /tmp/stop
  wait $writer
  run lunctl disk grow nbd0 | tee /tmp/out
  expect unchanged /tmp/out
  sgdisk --verify /dev/nbd0 >/tmp/out
  expect 'No problems found' /tmp/out
  run lunctl disk unmount /mnt
  sh "$ROOT/test/tools/fs-load.sh" check "$type" /dev/nbd0p1 >/tmp/check.out 2>&1 || { cat /tmp/check.out; exit 1; }
  echo "FIGURE $type grown by 256 MiB while it was mounted and written to, sound afterwards"
done
run lunctl node logout
no_leftovers
echo 'LAB PASSED'
