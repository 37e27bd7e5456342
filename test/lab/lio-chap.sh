#!/usr/bin/env bash
# In the kernel lab: LIO, and CHAP with every algorithm it knows, one-way and mutual, for login and discovery, and what must
# be refused.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# shellcheck source=test/lab/lio.sh
. "$here/lio.sh"
cd "$ROOT"

step 'LIO'
lio_target 64

step 'CHAP: every algorithm, one-way and mutual, for login and discovery, and what must be refused'
modprobe -a md5 sha1_generic sha256_generic sha3_generic
lio_chap username password1234 mutualuser mutualpass12
export CHAP_OPEN_TARGET=$TARGET-open CHAP_DISCOVERY=1
lio_open_target "$CHAP_OPEN_TARGET"
run node "$PROGRAMS/interop/chap-matrix.js" 127.0.0.1:3260 "$TARGET" username password1234 mutualuser mutualpass12
echo 'LAB PASSED'
