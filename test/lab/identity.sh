#!/usr/bin/env bash
# In the kernel lab: nbd0 is taken over by a stranger between the login and the end of a disk command. nbd-client from outside
# disconnects our device and attaches another server's disk under the same name, at an exact moment of the command. It is refused
# each time, and no byte of the stranger's disk changes. LAB_RACES: `few` (default) or `all`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
work=/var/tmp/identity
disk=$work/disk.img
mkdir -p $work
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"

# Disks of 64 MiB in each state that a command is meant for; and strangers, some of which are the same to the last byte but one.
make_disks() {
  local offset=$((2048 * 512)) size=$((60 * 1048576))
  truncate -s 64M $work/blank
  cp $work/blank $work/label && sfdisk --quiet $work/label <<<'label: gpt'
  cp $work/label $work/table && sfdisk --quiet --append $work/table <<<"start=2048, size=$((size / 512)), type=L"
  cp $work/table $work/files && mkfs.ext4 -q -F -E "offset=$offset" $work/files $((size / 1024))
  cp $work/blank $work/data && mkfs.ext4 -q -F $work/data
  truncate -s 96M $work/larger
  cp $work/files $work/other && mkfs.ext4 -q -F -E "offset=$offset" $work/other $((size / 1024))
  cp $work/blank $work/random && dd if=/dev/urandom of=$work/random bs=1M count=64 conv=notrunc status=none
}

# What the stranger does. Words: read-only, connections (four), ioctl (the kernel's older interface), same-pid (the process number
# of our own nbd-client, by which the kernel tells whose a device is).
cat >$work/take <<'END'
ours=$(cat /sys/block/nbd0/pid)
client=()
for word in "$@"; do
  case $word in
    read-only) client+=(-R) ;;
    connections) client+=(-C 4) ;;
    ioctl) client+=(-nonetlink) ;;
  esac
done
nbd-client -d /dev/nbd0 >/dev/null
# Not before the kernel has let it go, for as long as that can be hoped for: a command may be holding it.
for _ in {1..20}; do [ -e /sys/block/nbd0/pid ] || break; sleep 0.05; done
how='kept out'
# Not while a command holds it; but when udev does, that is soon over.
for _ in {1..8}; do
  case " $* " in *' same-pid '*) echo $((ours - 1)) >/proc/sys/kernel/ns_last_pid ;; esac
  if nbd-client -unix /var/tmp/identity/stranger.sock /dev/nbd0 "${client[@]}" >/tmp/take.out 2>&1; then how=attached; break; fi
  sleep 0.2
done
echo "  nbd0 was of process $ours, is of $(cat /sys/block/nbd0/pid 2>/dev/null || echo nobody): the stranger is $how"
[ "$how" = attached ] || tail -n 1 /tmp/take.out
echo "$how" >/var/tmp/identity/took
END

step 'disks, our target'
make_disks
cat $work/blank >$disk
serve_disk "$disk"

step 'takeovers'
node "$PROGRAMS/lab/identity.js" $work $work/take
end_serve
no_leftovers
echo 'LAB PASSED'
