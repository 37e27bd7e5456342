# Shared by the lab scripts: what the Rocky Linux guide does between `cat /proc/partitions` and `df -hT`, by our commands, and
# what it shows at each step.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export LC_ALL=C

# What both ends of a partition are aligned to, in sectors. LIO names an optimal transfer length of 8 MiB for a file: then it
# is 16384, and the partition has the very blocks that the guide shows.
GUIDE_GRAIN=2048
# guide_table DISK: the guide's one partition over the whole disk of 10 GiB, and nobody has a complaint about the table.
guide_table() {
  local end=$(((20971520 - 33) / GUIDE_GRAIN * GUIDE_GRAIN))
  parted --script --machine "$1" unit s print | tee /tmp/out
  expect "^1:${GUIDE_GRAIN}s:$((end - 1))s:$((end - GUIDE_GRAIN))s:" /tmp/out
  sgdisk --verify "$1" >/tmp/out
  expect 'No problems found' /tmp/out
  sfdisk --verify --quiet "$1"
}
# guide_xfs FILE: what the guide's mkfs.xfs printed.
guide_xfs() {
  local blocks=2620928
  [ "$GUIDE_GRAIN" = 2048 ] || blocks=2617344
  expect "isize=1024 +agcount=4, agsize=$((blocks / 4)) blks" "$1"
  expect 'sectsz=4096 +attr=2, projid32bit=1' "$1"
  expect "data +=  +bsize=4096 +blocks=$blocks," "$1"
}
# guide_df PARTITION DIR: the line of df.
guide_df() {
  run df -hT "$2" | tee /tmp/out
  expect "^$1 +xfs +10G +[0-9]+M +[0-9.]+G +[12]% $2\$" /tmp/out
}
# guide_disk DEV: all of it on a blank disk of 10 GiB with a device. Leaves it mounted at /mnt.
guide_disk() {
  local name=${1#/dev/}
  run cat /proc/partitions | tee /tmp/out
  expect " 10485760 $name\$" /tmp/out
  run lunctl disk label "$1" --type gpt
  run lunctl disk partition "$1" 0% 100%
  test -b "${1}p1"
  guide_table "$1"
  run lunctl disk format "${1}p1" --type xfs -- -i size=1024 -s size=4096 | tee /tmp/mkfs.out
  guide_xfs /tmp/mkfs.out
  run lunctl disk mount "${1}p1" /mnt
  guide_df "${1}p1" /mnt
}
