#!/usr/bin/env bash
# In the kernel lab: LUNs of LIO that vanish under load (F30), are swapped for another disk in the session and while LIO is
# away (F31), grow and shrink (F29).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"
cd "$ROOT"

step 'LIO with three files and a loop device'
lio_target 64 64 64
truncate -s 32M /var/tmp/loop.img
loop=$(losetup -f --show /var/tmp/loop.img)
lio_block_lun "$loop"

step 'a session'
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
run lunctl node login "$TARGET" -p 127.0.0.1 --attach none --timeout 60

step 'LUNs come and go under load'
node "$PROGRAMS/lab/luns.js" "$TPG" "$IMAGES/disk02.img" "$loop" /var/tmp/loop.img || { show_log; exit 1; }
show_log >/tmp/log
cat /tmp/log
expect 'LUN 3 has shrunk' /tmp/log
expect 'LUN 1 is another unit now' /tmp/log
step 'logout'
lunctl node logout
no_leftovers
echo 'LAB PASSED'
