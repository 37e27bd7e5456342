#!/usr/bin/env bash
# In the kernel lab: the guide's disk, served by our own target, down to `df -hT` by our client: on the kernel's nbd, on a kernel
# that has none (FUSE), and without root and any device down to the file system. LAB_GUIDE says which: nbd fuse none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/guide.sh
. "$here/guide.sh"

step 'our target with CHAP and three disks of 10 GiB'
(umask 077; printf password >/tmp/secret)
mkdir -p /var/lib/iscsi_disks
serve_image() { serve_disk "/var/lib/iscsi_disks/$1=10G" --chap-user username --chap-secret-file /tmp/secret; }
initiator_config username password

# On the kernel's nbd.
guide_nbd() {
  step "the guide's disk on the kernel's nbd"
  serve_image nbd.img
  run lunctl discovery sendtargets -p 127.0.0.1
  log_in --attach nbd
  guide_disk "$dev"
  run lunctl disk unmount /mnt
  run lunctl node logout
  end_serve
}
# Without the nbd module.
guide_fuse() {
  step 'a kernel without nbd: refused with the way out, then through FUSE'
  [ -e /dev/fuse ] || modprobe fuse
  if [ -e /sys/module/nbd ]; then rmmod nbd; fi
  mkdir -p /etc/modprobe.d
  echo 'install nbd /bin/false' >/etc/modprobe.d/lab.conf
  serve_image fuse.img
  run lunctl discovery sendtargets -p 127.0.0.1
  refuse 12 lunctl node login --attach nbd
  expect 'modprobe nbd' /tmp/refused.err
  expect '--attach fuse' /tmp/refused.err
  log_in --attach fuse
  guide_disk "$dev"
  run lunctl disk unmount /mnt
  run lunctl node logout
  end_serve
  no_leftovers
}
# As an ordinary user.
guide_none() {
  step 'without root: no device, and yet label, partition and file system'
  serve_image rootless.img
  useradd --create-home --home-dir /var/tmp/user user
  [ -e /dev/fuse ] || modprobe fuse
  chmod 666 /dev/fuse
  cp -r "$LUNCTL_CONFIG_DIR" /var/tmp/user/etc
  mkdir -m 700 /var/tmp/user/run
  chown -R user: /var/tmp/user
  as_user() {
    setpriv --reuid=user --regid=user --clear-groups --inh-caps=-all env -i "PATH=$PATH" HOME=/var/tmp/user \
      XDG_RUNTIME_DIR=/var/tmp/user/run LUNCTL_CONFIG_DIR=/var/tmp/user/etc LUNCTL_DB_DIR=/var/tmp/user/db LC_ALL=C node "$ROOT/bin/run.js" "$@"
  }
  run as_user discovery sendtargets -p 127.0.0.1
  run as_user node login --attach none
  disk=$TARGET/0
  run as_user disk label "$disk" --type gpt
  run as_user disk partition "$disk" 0% 100%
  run as_user disk format "${disk}p1" --type xfs -- -i size=1024 -s size=4096 | tee /tmp/mkfs.out
  guide_xfs /tmp/mkfs.out
  run as_user node logout
  end_serve
  no_leftovers
  # What only root can do, on the target's own file: the disk is the guide's.
  guide_table /var/lib/iscsi_disks/rootless.img
  loop=$(losetup --find --show --offset $((2048 * 512)) --sizelimit $((20967424 * 512)) /var/lib/iscsi_disks/rootless.img)
  xfs_repair -n "$loop" >/tmp/repair.out 2>&1 || { cat /tmp/repair.out; exit 1; }
  mount "$loop" /mnt
  guide_df "$loop" /mnt
  umount /mnt
  losetup --detach "$loop"
}
for way in ${LAB_GUIDE:-fuse none}; do "guide_$way"; done
echo 'LAB PASSED'
