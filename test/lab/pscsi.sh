#!/usr/bin/env bash
# In the kernel lab: a SCSI disk of this host (scsi_debug) passed through by our target, seen by the kernel's initiator: its own
# identity, its data, its errors; what may not pass is refused, and so is a disk that is mounted.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lab/common.sh
. "$here/common.sh"

# config DEV: a target with that device as LUN 0, open to everybody, in /tmp/pscsi.json.
config() {
  cat >/tmp/pscsi.json <<JSON
{ "fabric_modules": [],
  "storage_objects": [{ "plugin": "pscsi", "name": "real", "dev": "$1", "attributes": {}, "alua_tpgs": [] }],
  "targets": [{ "fabric": "iscsi", "wwn": "$TARGET", "tpgs": [{ "tag": 1, "enable": true,
    "attributes": { "authentication": 0, "generate_node_acls": 1, "cache_dynamic_acls": 1, "demo_mode_write_protect": 0 },
    "parameters": {}, "node_acls": [], "portals": [{ "ip_address": "127.0.0.1", "port": 3260 }],
    "luns": [{ "index": 0, "storage_object": "/backstores/pscsi/real" }] }] }] }
JSON
}

step 'a SCSI disk of this host, with a block that cannot be read (1234h)'
modprobe scsi_debug dev_size_mb=64 opts=2 lbpu=1 lbpws=1
until [ -b /dev/sda ]; do sleep 0.1; done
udevadm settle
hctl=$(basename "$(readlink -f /sys/block/sda/device)")
generic=/dev/$(ls /sys/block/sda/device/scsi_generic)

step 'a disk that is mounted is refused, by whatever name; so is what is no SCSI device'
mkfs.ext4 -q -F -b 1024 /dev/sda 8192
mount /dev/sda /mnt
config "$generic"
refuse 28 lunctl serve --config /tmp/pscsi.json
umount /mnt
truncate -s 1M /tmp/file
config /tmp/file
refuse 7 lunctl serve --config /tmp/pscsi.json

step "served as $hctl; the kernel's initiator finds it"
config "$hctl"
node "$ROOT/bin/run.js" serve --config /tmp/pscsi.json >/tmp/serve.out 2>&1 &
serve=$!
until grep -q 'listening on' /tmp/serve.out; do kill -0 $serve || { cat /tmp/serve.out; exit 1; }; sleep 0.2; done
cat /tmp/serve.out
echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
sed -i -e 's/^iscsid.startup = .*/iscsid.startup = \/bin\/true/' /etc/iscsi/iscsid.conf
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
iscsid
run iscsiadm -m discovery -t sendtargets -p 127.0.0.1
run iscsiadm -m node --login
until [ -b /dev/sdb ]; do sleep 0.1; done
udevadm settle

step "its own identity and size"
run sg_inq /dev/sdb | tee /tmp/out
expect 'Vendor identification: Linux' /tmp/out
expect 'Product identification: scsi_debug' /tmp/out
diff <(sg_vpd --page=di --quiet "$generic") <(sg_vpd --page=di --quiet /dev/sdb)
test "$(blockdev --getsize64 /dev/sdb)" = "$(blockdev --getsize64 /dev/sda)"

step 'its data, both ways'
dd if=/dev/urandom of=/tmp/data bs=64k count=16 status=none
dd if=/tmp/data of=/dev/sdb bs=64k seek=64 oflag=direct status=none
sg_dd if="$generic" of=/tmp/direct bs=512 skip=8192 count=2048 bpt=128 >/dev/null 2>&1
cmp /tmp/data /tmp/direct
dd if=/dev/sdb of=/tmp/back bs=64k skip=64 count=16 iflag=direct status=none
cmp /tmp/data /tmp/back
sg_sync /dev/sdb

step 'its errors'
got=0; sg_raw -r 512 /dev/sdb 28 00 00 00 12 34 00 00 01 00 >/tmp/out 2>&1 || got=$?
cat /tmp/out
test "$got" = 3 # MEDIUM ERROR, in sg3-utils' words
expect 'Unrecovered read error' /tmp/out

step 'what may not pass does not'
for command in 'sg_start --stop' 'sg_persist --out --register --param-sark=1' 'sg_format --format --quick' 'sg_reset_wp --all'; do
  # shellcheck disable=SC2086
  if $command /dev/sdb >/tmp/out 2>&1; then echo "passed: $command"; exit 1; fi
done
sg_turs "$generic"

step 'logout'
run iscsiadm -m node --logout
end_serve
sg_turs "$generic"
echo 'LAB PASSED'
