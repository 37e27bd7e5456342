#!/usr/bin/env bash
# In the kernel lab: the records in /etc/iscsi under open-iscsi's hands and ours, with iscsid and its sessions at work.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"
# The places that root has by itself: those of open-iscsi.
unset LUNCTL_CONFIG_DIR LUNCTL_DB_DIR
shim() { node "$ROOT/bin/iscsiadm.js" "$@"; }
db=/etc/iscsi

# Whoever complains has not understood what the other has written.
quiet() {
  "$@" 2>/tmp/said || { echo "exit $? from: $*"; cat /tmp/said; exit 1; }
  [ ! -s /tmp/said ] || { echo "complaint from: $*"; cat /tmp/said; exit 1; }
}
# Both list and show the same, in whatever order the folders have.
same() {
  local what
  for what in 'node -o show -S' 'discovery -P 1' 'iface' "$@"; do
    # shellcheck disable=SC2086
    quiet iscsiadm -m $what | sort >/tmp/theirs
    # shellcheck disable=SC2086
    quiet shim -m $what | sort >/tmp/ours
    diff /tmp/theirs /tmp/ours || { echo "they differ in: $what"; exit 1; }
  done
  echo "the same: $(find $db/nodes -type f | wc -l) records"
}
forget() { rm -rf $db/nodes $db/send_targets $db/static $db/isns $db/ifaces; }
value() { awk -v key="$2" '$1 == key { print $3 }' "$1"; }

step 'a target, and iscsid'
(umask 077; printf password-of-12 >/tmp/secret)
serve_disk ramdisk:16M --chap-user username --chap-secret-file /tmp/secret
cat /tmp/serve.out
echo "InitiatorName=$INITIATOR" >$db/initiatorname.iscsi
cat >$db/iscsid.conf <<END
iscsid.startup = /bin/true
node.session.auth.chap_algs = MD5
node.session.initial_login_retry_max = 8
END
chmod 600 $db/iscsid.conf
modprobe iscsi_tcp
forget
iscsid

step 'a database of iscsiadm, used and changed by us'
quiet iscsiadm -m discovery -t st -p 127.0.0.1
quiet iscsiadm -m iface -I if1 -o new
quiet iscsiadm -m iface -I if1 -o update -n iface.initiatorname -v "$INITIATOR"
quiet iscsiadm -m node -o new -T "$TARGET" -p 127.0.0.1:3260,1 -I if1
quiet iscsiadm -m node -o new -T iqn.2022-08.com.test:flat -p 10.0.0.1
quiet iscsiadm -m node -o new -T iqn.2022-08.com.test:six -p '[fd00::1]:3261,7'
quiet iscsiadm -m discoverydb -t st -p 10.0.0.2 -o new
quiet iscsiadm -m discoverydb -t isns -p 10.0.0.3 -o new
quiet iscsiadm -m node -T "$TARGET" -o update -n node.session.auth.username -v username
quiet iscsiadm -m node -T "$TARGET" -o update -n node.session.auth.password -v password-of-12
same 'node' 'node -P 1' 'iface -I if1' 'discoverydb -t st -p 127.0.0.1 -S'
quiet lunctl node set --all node.startup=onboot 'node.conn[0].timeo.noop_out_interval=9' node.session.auth.chap_algs=SHA256,MD5
quiet lunctl iface set if1 iface.mtu=1500
quiet lunctl discovery set 10.0.0.2 discovery.sendtargets.reopen_max=2
quiet lunctl node new iqn.2022-08.com.test:new -p 10.0.0.4:3260,4 -I if1 node.session.queue_depth=64
same 'iface -I if1' 'discoverydb -t st -p 10.0.0.2 -S'
[ "$(value "$db/nodes/$TARGET/127.0.0.1,3260,1/if1" iface.mtu)" = 1500 ]

step 'the records that we have changed log the kernel in; in use, they stay'
sed -i 's/ = SHA256,MD5/ = MD5/' $db/nodes/*/*/* $db/nodes/*flat/*
quiet iscsiadm -m node -T "$TARGET" -I if1 --login
expect '^tcp: ' <(iscsiadm -m session)
refuse 15 lunctl node delete "$TARGET" -I if1
refuse 15 lunctl iface delete if1
fails 15 iscsiadm -m node -T "$TARGET" -I if1 -o delete
quiet lunctl discovery delete 127.0.0.1
[ ! -e "$db/send_targets/127.0.0.1,3260" ] && [ ! -e "$db/nodes/$TARGET/127.0.0.1,3260,1/default" ]
same
quiet iscsiadm -m node -T "$TARGET" -I if1 --logout
quiet lunctl node delete "$TARGET" -I if1
quiet lunctl iface delete if1
: >$db/nodes/iqn.2022-08.com.test:flat/10.0.0.1,3260
run lunctl node prune --dry-run | tee /tmp/out
expect '^would be removed: nodes/iqn.2022-08.com.test:flat/10.0.0.1,3260: .*it names no target$' /tmp/out
quiet lunctl node prune
same
quiet lunctl config check >/tmp/check
[ "$(ls $db/nodes)" = iqn.2022-08.com.test:six ]
quiet iscsiadm -m node -o delete
[ -z "$(ls $db/nodes $db/static | grep iqn || :)" ]

step 'a database of ours, used and changed by iscsiadm'
forget
quiet lunctl iface new if1
quiet lunctl discovery sendtargets 127.0.0.1
quiet lunctl node new "$TARGET" -p 127.0.0.1:3260,1 -I if1
quiet lunctl node new iqn.2022-08.com.test:flat -p 10.0.0.1
same
for setting in 'node.startup=automatic' 'node.session.auth.authmethod=CHAP' 'node.session.auth.username=username' \
  'node.session.auth.password=password-of-12' 'node.session.auth.chap_algs=MD5' 'node.session.queue_depth=99999999999' \
  'node.session.timeo.replacement_timeout=-1' 'node.conn[0].iscsi.HeaderDigest=CRC32C,None' 'node.session.scan=manual'; do
  quiet iscsiadm -m node -T "$TARGET" -o update -n "${setting%%=*}" -v "${setting#*=}"
done
quiet iscsiadm -m node -T "$TARGET" -o update -n node.session.queue_depth -v 32
quiet iscsiadm -m iface -I if1 -o update -n iface.initiatorname -v "$INITIATOR"
quiet iscsiadm -m discoverydb -t st -p 127.0.0.1 -o update -n discovery.sendtargets.timeo.login_timeout -v 7
same 'iface -I if1' 'discoverydb -t st -p 127.0.0.1 -S'
run lunctl login "$TARGET" -I if1 --attach none
quiet lunctl logout "$TARGET"
quiet iscsiadm -m iface -I if1 -o delete
quiet iscsiadm -m discoverydb -t st -p 127.0.0.1 -o delete
quiet iscsiadm -m node -o delete
[ -z "$(find $db/nodes $db/static $db/send_targets $db/ifaces -mindepth 1)" ]
expect '"removed": \[\]' <(lunctl node prune --json)

step 'both at once'
rounds=${LAB_ROUNDS:-2}
for who in ours theirs; do quiet iscsiadm -m node -o new -T iqn.2022-08.com.test:$who -p 10.0.0.1:3260,1; done
(for i in $(seq "$rounds"); do
  lunctl node set iqn.2022-08.com.test:ours node.session.queue_depth="$i"
  lunctl node new iqn.2022-08.com.test:ours -p "10.0.1.$i:3260,1"
  lunctl discovery sendtargets 127.0.0.1
done >/tmp/ours.out 2>/tmp/ours.err) &
ours=$!
# It looks through the folders without its lock: where a record has gone meanwhile it gives up, and is called again.
again() { for _ in 1 2 3 4 5 6 7 8; do "$@" >/dev/null 2>/tmp/said && return; done; cat /tmp/said; return 1; }
n=0
while kill -0 $ours 2>/dev/null; do
  n=$((n + 1))
  again iscsiadm -m node -T iqn.2022-08.com.test:theirs -o update -n node.session.cmds_max -v $n
  again iscsiadm -m node -o new -T iqn.2022-08.com.test:theirs -p 10.0.0.9:3260,9
  again iscsiadm -m node -T iqn.2022-08.com.test:theirs -p 10.0.0.9 -o delete
done
wait $ours || { cat /tmp/ours.err; exit 1; }
[ ! -s /tmp/ours.err ] || { cat /tmp/ours.err; exit 1; }
[ "$n" -gt 3 ] || { echo "only $n rounds of iscsiadm"; exit 1; }
same
[ "$(value "$db/nodes/iqn.2022-08.com.test:ours/10.0.0.1,3260,1/default" node.session.queue_depth)" = "$rounds" ]
[ "$(value "$db/nodes/iqn.2022-08.com.test:theirs/10.0.0.1,3260,1/default" node.session.cmds_max)" = "$n" ]
[ "$(ls $db/nodes/iqn.2022-08.com.test:ours | wc -l)" = $((rounds + 1)) ]
[ ! -e /run/lock/iscsi/lock.write ]
[ -z "$(find $db -name '.lunctl-*' ! -name .lunctl-lock)" ]
echo "FIGURE both at once: $rounds rounds of ours, $n of iscsiadm, no update lost"
end_serve
no_leftovers
echo 'LAB PASSED'
