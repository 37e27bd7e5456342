#!/usr/bin/env bash
# In the kernel lab: a file system on the kernel's nbd loses its session worker by kill -9, in the middle of writing.
# I/O fails at once, nothing hangs, unmounting works, and after a new login the file system is clean and has every byte
# that had been synced. LAB_KILLS says how often: by turns on a device attached by netlink with one connection, by nbd-client
# with one, by netlink with four, by nbd-client with four.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"

# Without starting a program: in emulation that alone takes a while.
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# Milliseconds that the start of a program takes here: 5 on a real machine, in emulation hundreds.
program_start() {
  local began
  began=$(now_ms)
  nbd-client -V >/dev/null 2>&1 || :
  echo $(($(now_ms) - began))
}
# Threads in uninterruptible sleep, one per line.
blocked() { ps -eLo state=,lwp=,comm= | awk '$1 ~ /^D/ { print $2, $3 }'; }
# Fails if the same thread is blocked in each of the samples of five seconds.
nothing_blocked() {
  local stuck sample
  stuck=$(blocked)
  for _ in 1 2 3 4 5; do
    [ -n "$stuck" ] || return 0
    sleep 1
    sample=$(blocked)
    stuck=$(comm -12 <(sort <<<"$stuck") <(sort <<<"$sample"))
  done
  [ -z "$stuck" ] || { echo "blocked for five seconds: $stuck"; dmesg | tail -20; exit 1; }
}
# Reads the device until a read fails, and notes when that was.
read_until_error() {
  while dd if="$dev" of=/dev/null bs=4k iflag=direct status=none 2>/dev/null; do :; done
  now_ms >/tmp/failed.read
}
# The same with synced writes to a file.
write_until_error() {
  while dd if=/dev/zero of=/mnt/file bs=64k count=4 conv=fsync status=none 2>/dev/null; do :; done
  now_ms >/tmp/failed.write
}
# Creates, fills and removes files: work for the journal.
churn() {
  local round=0
  while mkdir "/mnt/churn.$round" && cp -r "$ROOT/src/util" "/mnt/churn.$round/" && rm -rf "/mnt/churn.$((round - 2))"; do
    round=$((round + 1))
  done 2>/dev/null
  now_ms >/tmp/failed.churn
}

step 'LIO, a session, ext4'
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
lio_target 256
login() { # ROUND
  local without=$((($1 + 1) % 2)) connections=1
  [ $((($1 - 1) % 4)) -lt 2 ] || connections=4
  LUNCTL_WITHOUT_KOFFI=$without lunctl node login "$TARGET" -p 127.0.0.1 --attach nbd --connections $connections >/tmp/login.out
  dev=$(grep -o '/dev/nbd[0-9]*' /tmp/login.out)
  grep -qs '^lunctl-' "/sys/block/${dev#/dev/}/backend" && way=netlink || way=nbd-client
  [ "$without" = "$([ $way = netlink ] && echo 0 || echo 1)" ] || { echo "attached by $way"; exit 1; }
}
login 1
step 'make the file system'
mkfs.ext4 -q "$dev"
worst=0
for round in $(seq "${LAB_KILLS:-2}"); do
  step "kill $round, $way"
  mount "$dev" /mnt
  dd if=/dev/urandom of=/mnt/synced bs=1M count=4 conv=fsync status=none
  sum=$(sha256sum </mnt/synced)
  rm -f /tmp/failed.*
  read_until_error & reader=$!
  write_until_error & writer=$!
  churn & churn=$!
  sleep "$((RANDOM % 3)).$((RANDOM % 10))"
  # I/O must fail within a second, and what this machine is slower by at starting the program that does it.
  limit=$((1000 + 5 * $(program_start)))
  worker=$(pgrep -f '^lunctl session|worker-main')
  killed=$(now_ms)
  kill -9 "$worker"
  wait "$reader" "$writer" "$churn"
  for what in read write churn; do echo "the last $what failed after $(($(cat /tmp/failed.$what) - killed)) ms (limit $limit)"; done
  took=$(($(cat /tmp/failed.read) - killed))
  [ "$took" -lt "$limit" ] || { echo "I/O went on for more than $limit ms"; exit 1; }
  [ "$took" -gt "$worst" ] && worst=$took
  nothing_blocked
  run umount /mnt
  nothing_blocked
  step 'log in again and check'
  login $((round + 1))
  # The journal's replay belongs to the next mount; what it leaves must need no repair.
  e2fsck -fp -E journal_only "$dev" >/tmp/journal.out 2>&1 || [ $? = 1 ] || { cat /tmp/journal.out; exit 1; }
  e2fsck -fn "$dev" >/tmp/fsck.out 2>&1 || { cat /tmp/fsck.out; exit 1; }
  mount "$dev" /mnt
  test "$sum" = "$(sha256sum </mnt/synced)"
  rm -rf /mnt/churn.* /mnt/file
  umount /mnt
done
echo "FIGURE ${LAB_KILLS:-2} kills, the last read failed after at most $worst ms"
if dmesg | grep -E 'blocked for more than|BUG:|Oops'; then exit 1; fi
lunctl node logout >/dev/null
no_leftovers
echo 'LAB PASSED'
