#!/bin/sh
# Installs the Debian programs that the demo (argument "start") or the tests (argument "test") use, when root and apt allow it.
# Without root, without apt, or with LUNCTL_TEST_NO_APT=1 it only says which are missing, and where apt fails too: whoever
# needs them says so again.
# No service is started by an installation here: a policy-rc.d stands in the way while apt runs.
set -eu
start='nbdfuse:libnbd-bin nbd-client:nbd-client sfdisk:fdisk mkfs.xfs:xfsprogs fusermount3:fuse3 losetup:mount blkid:util-linux'
peers='tgtd:tgt istgt:istgt iscsi-ls:libiscsi-bin qemu-img:qemu-utils fio:fio nbdkit:nbdkit nbdcopy:libnbd-bin
  mkfs.ext4:e2fsprogs mkfs.btrfs:btrfs-progs mkfs.vfat:dosfstools mandoc:mandoc script:bsdutils
  parted:parted sgdisk:gdisk stress-ng:stress-ng fuse2fs:fuse2fs pgrep:procps ss:iproute2 ip:iproute2 systemd-analyze:systemd
  tmux:tmux strace:strace zsh:zsh fish:fish'
lab='qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod iscsid:open-iscsi targetcli:targetcli-fb
  dbus-daemon:dbus udevadm:udev sg_persist:sg3-utils lvcreate:lvm2 stress-ng:stress-ng'
files='/usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so:qemu-block-extra /usr/lib/python3/dist-packages/nbd.py:python3-libnbd
  /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1:libfaketime'
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

case ${1-} in
  start) wanted=$start; files='' ;;
  test) wanted="$start $peers $lab" ;;
  *) echo "usage: $0 start|test" >&2; exit 2 ;;
esac
packages=''
for pair in $wanted; do
  command -v "${pair%%:*}" >/dev/null || packages="$packages ${pair#*:}"
done
for pair in $files; do
  [ -e "${pair%%:*}" ] || packages="$packages ${pair#*:}"
done
[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ] || [ "${LUNCTL_TEST_NO_APT-}" = 1 ] || ! command -v apt-get >/dev/null; then
  echo "not installed here:$packages; install them with: sudo apt-get install --no-install-recommends$packages" >&2
  exit 0
fi
echo "installing the Debian packages:$packages" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  trap 'rm -f $policy' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
fi
export DEBIAN_FRONTEND=noninteractive
install() {
  apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}
apt-get update -qq </dev/null >&2 || true
# shellcheck disable=SC2086 # a list of words
install $packages && exit 0
# One that cannot be had must not keep the others away.
for package in $packages; do
  install "$package" || echo "apt-get cannot install $package: what needs it is left out" >&2
done
