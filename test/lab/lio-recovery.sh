#!/usr/bin/env bash
# In the kernel lab: our client in front of LIO loses its connection in every way that LIO and the network know, under load:
# portal group disabled and enabled, session dropped, connection reset, black hole. No request may fail, none may
# be stale; nor may a write that the network delivers after all. LAB_ROUNDS and LAB_STALE say how often, LAB_HOLD_MS how
# long the outages last.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"
cd "$ROOT"

step 'LIO, and a network in between'
lio_target 64
lio_network

step 'a session'
echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
in_initiator node "$ROOT/bin/run.js" node login "$TARGET" -p 10.9.0.1 --attach none

step 'faults under load'
in_initiator node "$PROGRAMS/lab/recovery.js" "$TPG" "$LIO_CUT" "$LIO_MEND" || { show_log; exit 1; }
show_log
step 'logout'
lunctl node logout
no_leftovers

step 'a write that the network delivers late'
run node "$PROGRAMS/lab/stale-write.js" 127.0.0.1:3260 "$TARGET" "$IMAGES/disk00.img"
no_leftovers
echo 'LAB PASSED'
