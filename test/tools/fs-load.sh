#!/bin/sh
# A file system under load, and whether it is sound afterwards. The tests on FUSE and the kernel lab call the same lines:
#   fs-load.sh load DIR SECONDS   writes and checks files in DIR (fio --verify) while stress-ng works on its metadata
#   fs-load.sh verify DIR         after an unmount and a mount: what the load has left still holds its checksums
#   fs-load.sh check TYPE DEVICE  unmounted: the file system's own checker finds nothing, and changes nothing
# FS_LOAD_MIB is the size of each of fio's four files (default 32). Ends with 0 only if everything was right.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
mib=${FS_LOAD_MIB:-32}

usage() {
  sed -n '3,5s/^#   /usage: /p' "$0" >&2
  exit 2
}

# One file of fio's. Whole blocks with a checksum each, so that a block from another place or time is found too.
fio_file() {
  directory=$1 name=$2
  shift 2
  fio --name="$name" --directory="$directory" --filename="$name" --size="${mib}M" --verify=crc32c --verify_fatal=1 \
    --verify_state_save=0 --output-format=terse --output=/dev/null "$@"
}

# Until the time has come: direct and through the page cache, each written in full and then read back.
fio_rounds() {
  directory=$1 end=$2 round=0
  while [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    fio_file "$directory" direct --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=8 --randseed=$round
    fio_file "$directory" cached --rw=randwrite --bs=16k --ioengine=psync --fsync=64 --randseed=$round
    echo "round $round verified"
  done
  [ "$round" -gt 0 ]
}

# Only stressors that stay within --temp-path.
stress() {
  mkdir -p "$1/stress"
  stressed=0
  stress-ng --temp-path "$1/stress" --timeout "$2" --verify --oomable --metrics-brief \
    --hdd 1 --hdd-bytes 16M --hdd-opts wr-rnd,rd-rnd,fsync --iomix 1 --iomix-bytes 16M --seek 1 --seek-size 8M --seek-punch \
    --fallocate 1 --fallocate-bytes 16M --rename 1 --link 1 --symlink 1 --dir 1 --dir-dirs 256 --dentry 1 --dentries 512 \
    --chmod 1 --utime 1 --xattr 1 --sync-file 1 --sync-file-bytes 8M --copy-file 1 --copy-file-bytes 128M || stressed=$?
  rm -rf "$1/stress"
}

load() {
  fio_file "$1" early --rw=write --bs=64k --ioengine=psync --end_fsync=1
  fio_rounds "$1" $(($(date +%s) + $2)) &
  fio_pid=$!
  stress "$1" "$2"
  wait "$fio_pid"
  [ "$stressed" = 0 ] || { echo "stress-ng ended with $stressed" >&2; exit 1; }
  # Left in the page cache on purpose: the unmount has to bring it to the disk.
  fio_file "$1" late --rw=write --bs=64k --ioengine=psync --do_verify=0
}

verify() {
  for name in early late; do
    fio_file "$1" $name --rw=write --bs=64k --ioengine=psync --verify_only=1
    echo "$name verified"
  done
}

check() {
  case $1 in
    xfs) xfs_repair -n "$2" ;;
    ext4) e2fsck -f -n "$2" ;;
    btrfs) btrfs check --readonly "$2" ;;
    *) usage ;;
  esac
}

case ${1-} in
  load) [ $# = 3 ] || usage; load "$2" "$3" ;;
  verify) [ $# = 2 ] || usage; verify "$2" ;;
  check) [ $# = 3 ] || usage; check "$2" "$3" ;;
  *) usage ;;
esac
