#!/usr/bin/env bash
# In the kernel lab: LIO, and every parameter set and digest of the matrix that tgt has too, each with verified I/O.
# LAB_SETS says which sets: short (default), all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"
cd "$ROOT"

step 'LIO'
lio_target 64
# What LIO would cut down in the negotiation anyway: its own limits must not hide ours.
lio_parameter InitialR2T No MaxBurstLength 16776192 FirstBurstLength 262144 MaxOutstandingR2T 16

step "the parameter sets: ${LAB_SETS:-short}"
run node --import tsx test/interop/matrix.ts 127.0.0.1:3260 "$TARGET" "${LAB_SETS:-short}" "$IMAGES/disk00.img"
step 'the digests'
run node --import tsx test/interop/matrix.ts 127.0.0.1:3260 "$TARGET" digests "$IMAGES/disk00.img"
echo 'LAB PASSED'
