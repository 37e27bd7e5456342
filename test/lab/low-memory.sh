#!/usr/bin/env bash
# In the kernel lab, with little memory and a scratch disk: F36. More than memory is written through ext4 on our device, whose
# target is in the same machine: what has to be written back so that memory comes free needs memory on its way through us. It
# finishes, no task hangs, and the worker stays as small as it was. LAB_MEMORY_MIB is how much is written (default 576; 4096 in the
# long form), LAB_MEMORY_WAYS which targets by which device.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"
mib=${LAB_MEMORY_MIB:-576}
# What a process may have held at its worst, in MiB: node alone is at 70 to 90.
MOST_MIB=256

free -m
step 'a scratch disk for the images'
mkfs.xfs -q "$KERNEL_LAB_SCRATCH"
IMAGES=/var/tmp/scratch
mkdir $IMAGES
mount "$KERNEL_LAB_SCRATCH" $IMAGES
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
modprobe fuse

# peak NAME PATTERN: the most memory that such a process has had at once.
peak() {
  local pid most=0 now
  for pid in $(pgrep -f "$2"); do
    now=$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$pid/status" 2>/dev/null || echo 0)
    if [ "${now:-0}" -gt $most ]; then most=$now; fi
  done
  echo "FIGURE $way: $1 had at most $most MiB of $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
  [ $most -gt 0 ] && [ $most -le $MOST_MIB ]
}
for way in ${LAB_MEMORY_WAYS:-serve/nbd}; do
  step "$way"
  rm -f $IMAGES/*.img
  case $way in
    serve/*) serve_disk "$IMAGES/disk.img=5G" ;;
    lio/*) lio_target 5120 ;;
  esac
  log_in "$TARGET" -p 127.0.0.1 --attach "${way#*/}"
  run lunctl disk format "$dev" --type ext4 >/tmp/mkfs.out
  run lunctl disk mount "$dev" /mnt
  began=$SECONDS
  dd if=/dev/zero of=/mnt/file bs=1M count="$mib" conv=fsync status=none
  echo "FIGURE $way: $mib MiB written in $((SECONDS - began)) s"
  peak worker '^lunctl session|worker-main'
  case $way in serve/*) peak serve '^lunctl serve|run.js serve' ;; esac
  case $way in */fuse) peak nbdfuse nbdfuse ;; esac
  run lunctl disk unmount /mnt
  run lunctl node logout
  case $way in
    serve/*) end_serve ;;
    lio/*) targetcli clearconfig confirm=True >/dev/null ;;
  esac
  if dmesg | grep -E 'blocked for more than|Out of memory|oom-kill|I/O error|kernel BUG|Oops'; then echo 'the kernel met errors'; exit 1; fi
done
no_leftovers
echo 'LAB PASSED'
