#!/usr/bin/env bash
# In the kernel lab: the attach tests on the kernel's own nbd, by netlink and by nbd-client, and the demo on it from end to end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"

mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
cd "$ROOT"
for way in netlink nbd-client; do
  step "the attach tests, with the nbd module, by $way"
  without=0
  [ $way = netlink ] || without=1
  LUNCTL_WITHOUT_KOFFI=$without node --test --test-reporter=spec "$PROGRAMS/services/attach-nbd.test.js" | tee /tmp/out
  expect "on a kernel with the nbd module, by $way" /tmp/out
  expect '^. fail 0$' /tmp/out
done

step 'the demo chooses nbd'
# The first start reads every file from the host, which takes longer than the demo waits for its server on a busy machine.
lunctl serve --help >/dev/null
lunctl demo | tee /tmp/out
expect '^  /dev/nbd0p1 +xfs' /tmp/out
expect '^done in ' /tmp/out
no_leftovers
test ! -e /sys/block/nbd0/pid
echo 'LAB PASSED'
