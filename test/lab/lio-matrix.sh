#!/usr/bin/env bash
# In the kernel lab: LIO, and every parameter set and digest of the matrix that tgt has too, each with verified I/O.
# LAB_SETS says which sets: few (default, with two of the digests), short, all.
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

sets=${LAB_SETS:-few}
for which in $([ "$sets" = few ] && echo few || echo "$sets" digests); do
  step "the sets: $which"
  run node "$PROGRAMS/interop/matrix.js" 127.0.0.1:3260 "$TARGET" "$which" "$IMAGES/disk00.img" | tee /tmp/out
  echo "FIGURE $which: $(tail -1 /tmp/out)"
done
echo 'LAB PASSED'
