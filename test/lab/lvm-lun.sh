#!/usr/bin/env bash
# In the kernel lab, with a scratch disk as large as the SSD of the CentOS guide: its LVM volume as a LUN, first of LIO, set up by
# the guide's targetcli commands, then of our own target; our client takes both from `cat /proc/partitions` to `df -hT`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/guide.sh
. "$here/guide.sh"
TARGET=iqn.2018-11.local.serotoninwg.iscsi:iscsi-storage1
volume=/dev/VgISCSI/LvISCSI

step 'the logical volume, as the guide makes it'
sgdisk --new=1:0:0 --typecode=1:8e00 "$KERNEL_LAB_SCRATCH" >/dev/null
until [ -b "${KERNEL_LAB_SCRATCH}1" ]; do sleep 0.1; done
run pvcreate "${KERNEL_LAB_SCRATCH}1"
run vgcreate VgISCSI "${KERNEL_LAB_SCRATCH}1"
run lvcreate -n LvISCSI -l 100%FREE VgISCSI
lsblk -i "$KERNEL_LAB_SCRATCH" | tee /tmp/out
expect '-VgISCSI-LvISCSI +[0-9:]+ +0 +465.8G +0 +lvm' /tmp/out
blocks=$(($(blockdev --getsize64 $volume) / 1024))

# volume_disk DEV [CONFIRM...]: the Rocky guide's initiator steps on this disk.
volume_disk() {
  local dev=$1
  shift
  run cat /proc/partitions >/tmp/out
  expect " $blocks ${dev#/dev/}\$" /tmp/out
  run lunctl disk label "$dev" --type gpt "$@"
  run lunctl disk partition "$dev" 0% 100%
  parted --script --machine "$dev" unit s print | tee /tmp/out
  expect "^1:${grain}s:" /tmp/out
  sgdisk --verify "$dev" >/tmp/out
  expect 'No problems found' /tmp/out
  run lunctl disk format "${dev}p1" --type xfs "$@" -- -i size=1024 -s size=4096 | tee /tmp/mkfs.out
  expect 'isize=1024 ' /tmp/mkfs.out
  expect 'sectsz=4096 ' /tmp/mkfs.out
  run lunctl disk mount "${dev}p1" /mnt
  run df -hT /mnt | tee /tmp/out
  expect "^${dev}p1 +xfs +466G .* 1% /mnt\$" /tmp/out
  run lunctl disk list
  run lunctl disk unmount /mnt
}
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
ip addr add 192.168.90.1/24 dev lo

step 'targetcli, the commands of the guide'
targetcli >/tmp/targetcli.out 2>&1 <<END || :
/backstores/block create name=block_backend_LvISCSI dev=$volume
/iscsi create $TARGET
/iscsi/$TARGET/tpg1/luns create /backstores/block/block_backend_LvISCSI
/iscsi/$TARGET/tpg1/portals delete 0.0.0.0 3260
/iscsi/$TARGET/tpg1/portals create 192.168.90.1 ip_port=3260
/iscsi/$TARGET/tpg1/acls create $INITIATOR
exit
END
grep -q 'Created mapped LUN 0' /tmp/targetcli.out || { cat /tmp/targetcli.out; exit 1; }

step 'our client on LIO'
# As parted has it on the kernel's own disk: the optimal transfer length, unless 1 MiB is a multiple of it.
grain=$(cat /sys/kernel/config/target/core/iblock_*/block_backend_LvISCSI/attrib/optimal_sectors)
echo "LIO's optimal transfer length is $grain blocks"
[ $((2048 % grain)) != 0 ] || grain=2048
run lunctl discovery sendtargets -p 192.168.90.1 | tee /tmp/out
expect "^192.168.90.1:3260,1 $TARGET\$" /tmp/out
log_in --attach nbd
volume_disk "$dev"
run lunctl node logout
targetcli clearconfig confirm=True >/dev/null

step 'our client on our own target'
grain=2048
serve_disk $volume --portal 192.168.90.1
log_in --attach nbd
refuse 40 lunctl disk label "$dev"
volume_disk "$dev" --confirm "$TARGET/0"
run lunctl node logout
end_serve
no_leftovers
echo 'LAB PASSED'
