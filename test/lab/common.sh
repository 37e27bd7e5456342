# Shared by the lab scripts: the names of the guide, a private lunctl, and expectations that end the script when they fail.
# shellcheck shell=bash
TARGET=iqn.2022-08.com.test:dlp.target01
INITIATOR=iqn.2022-08.com.test:node01.initiator01
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# The programs of test/, compiled by `npm run build:lab`: in emulation, compiling them takes a minute and more.
PROGRAMS=$ROOT/dist-lab/test
export LUNCTL_CONFIG_DIR=/var/tmp/lab/etc LUNCTL_DB_DIR=/var/tmp/lab/db LUNCTL_RUN_DIR=/run/lunctl
mkdir -p -m 700 /var/tmp/lab/etc /var/tmp/lab/db

lunctl() { node "$ROOT/bin/run.js" "$@"; }
# With the seconds since the script's start.
step() { printf '\n--- %s (%s s)\n' "$*" "$SECONDS"; }
# Shows the command as it would be typed, then runs it.
run() { printf '$ %s\n' "$*" >&2; "$@"; }
expect() { grep -Eq -- "$1" "$2" || { echo "expected /$1/ in:"; cat "$2"; exit 1; }; }
expect_not() { if grep -Eq -- "$1" "$2"; then echo "did not expect /$1/ in:"; cat "$2"; exit 1; fi; }
# fails CODE COMMAND...: the command must end with exactly this code.
fails() {
  local want=$1 got=0
  shift
  "$@" >/tmp/refused.out 2>/tmp/refused.err </dev/null || got=$?
  cat /tmp/refused.err
  [ "$got" = "$want" ] || { echo "expected exit $want, got $got from: $*"; exit 1; }
}
# refuse CODE lunctl ...: the same, and the reason must be one line; warnings and a hint may stand beside it.
refuse() {
  fails "$@"
  [ "$(grep -c '^lunctl: ' /tmp/refused.err)" = 1 ] && [ "$(grep -Evc '^(lunctl|hint|warning): ' /tmp/refused.err)" = 0 ] ||
    { echo "expected one line of reason from: $*"; exit 1; }
}
# serve_disk ARGS...: our target in the background, ready when this returns; $serve is its process.
serve_disk() {
  node "$ROOT/bin/run.js" serve "$@" --target "$TARGET" --allow "$INITIATOR" >/tmp/serve.out 2>&1 &
  serve=$!
  until grep -q 'listening on' /tmp/serve.out; do kill -0 $serve || { cat /tmp/serve.out; exit 1; }; sleep 0.2; done
}
# Ends it as Ctrl-C does.
end_serve() {
  local got=0
  kill -INT "$serve"
  wait "$serve" || got=$?
  [ "$got" = 130 ] || { echo "serve ended with $got"; cat /tmp/serve.out; exit 1; }
}
initiator_config() { # USER PASSWORD
  echo "InitiatorName=$INITIATOR" >"$LUNCTL_CONFIG_DIR/initiatorname.iscsi"
  (umask 077; printf 'node.session.auth.authmethod = CHAP\nnode.session.auth.username = %s\nnode.session.auth.password = %s\n' "$1" "$2" \
    >"$LUNCTL_CONFIG_DIR/iscsid.conf")
}
# log_in ARGS...: our login, and $dev is the device of LUN 0 as it is printed.
log_in() {
  run lunctl node login "$@" | tee /tmp/login.out
  dev=$(awk '$1 == "0" && $2 ~ "^/dev/" { print $2 }' /tmp/login.out)
  test -b "$dev"
}
# session_field path|nbd: of the first device of the first session.
session_field() { lunctl session show --json | node -e '
  const s = JSON.parse(require("fs").readFileSync(0, "utf8")).sessions[0];
  console.log(s.devices[0][process.argv[1]]);' "$1"; }
# What the worker of session 1 has to say, one line per event.
show_log() { cut -c1-400 /run/lunctl/s/1/log; }
no_leftovers() {
  local left
  left=$(pgrep -af 'worker-main|nbd-client|nbdfuse' || :)
  [ -z "$left" ] || { echo "left behind: $left"; exit 1; }
  left=$(losetup --list --noheadings --output NAME,BACK-FILE | grep /run/lunctl/ || :)
  [ -z "$left" ] || { echo "left behind: $left"; exit 1; }
  left=$(find /run/lunctl -mindepth 1 -path '*/s/*' 2>/dev/null || :)
  [ -z "$left" ] || { echo "left behind: $left"; exit 1; }
}
