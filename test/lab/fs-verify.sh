#!/usr/bin/env bash
# In the kernel lab: xfs, ext4 and btrfs made by our commands on the kernel's nbd, under fio with verification and stress-ng,
# then unmounted and found sound by their own checkers. LAB_FS says which, LAB_FS_SECONDS how long each, LAB_CONNECTIONS with
# how many NBD connections. The disks are a scratch disk's files, for they do not fit into memory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
seconds=${LAB_FS_SECONDS:-20}
# One round of fio takes longer than that if its files are as large as they are outside.
export FS_LOAD_MIB=${FS_LOAD_MIB:-8}

step 'a scratch disk, our target'
mkfs.xfs -q "$KERNEL_LAB_SCRATCH"
mkdir /var/tmp/scratch
mount "$KERNEL_LAB_SCRATCH" /var/tmp/scratch
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
serve_disk /var/tmp/scratch/disk.img=2G
lunctl discovery sendtargets -p 127.0.0.1 >/dev/null
for connections in ${LAB_CONNECTIONS:-4}; do
  step "log in with $connections connections"
  run lunctl node login --attach nbd --connections "$connections"
  run lunctl disk label nbd0 --confirm "$TARGET/0"
  run lunctl disk partition nbd0
  for type in ${LAB_FS:-xfs}; do
    step "$type, $connections connections, $seconds s"
    run lunctl disk format nbd0p1 --type "$type" --confirm "$TARGET/0" >/tmp/mkfs.out
    run lunctl disk mount nbd0p1 /mnt
    sh "$ROOT/test/tools/fs-load.sh" load /mnt "$seconds"
    run lunctl disk unmount /mnt
    run lunctl disk mount nbd0p1 /mnt
    sh "$ROOT/test/tools/fs-load.sh" verify /mnt
    run lunctl disk unmount /mnt
    sh "$ROOT/test/tools/fs-load.sh" check "$type" /dev/nbd0p1 >/tmp/check.out 2>&1 || { cat /tmp/check.out; exit 1; }
    echo "FIGURE $type on $connections connections: $seconds s of fio verify and stress-ng, sound afterwards"
  done
  run lunctl node logout
done
if dmesg | grep -iE 'I/O error|blocked for more than|BUG:|Oops'; then echo 'the kernel met errors'; exit 1; fi
end_serve
no_leftovers
echo 'LAB PASSED'
