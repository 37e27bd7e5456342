#!/usr/bin/env bash
# The initiator's commands of the Rocky Linux guide, as it types them, with `alias iscsiadm=lunctl-iscsiadm`. The target is
# there, at the guide's address 192.168.219.101. Argument: the device of LUN 0 is looked for, and becomes a mounted XFS, only
# with `disk`. Each line that the guide prints must come to the letter, but for the kernel's, the version and the disk's name.
set -euo pipefail
shopt -s expand_aliases
export LC_ALL=C
programs=$(mktemp -d)
trap 'rm -r "$programs"' EXIT
ln -s "${LUNCTL_ROOT:-$PWD}/bin/iscsiadm.js" "$programs/lunctl-iscsiadm"
PATH=$programs:$PATH
alias iscsiadm=lunctl-iscsiadm

# prints LINE...: exactly these, on standard output and error together, and success.
prints() { diff -u <(printf '%s\n' "$@") "$programs/out" || exit 1; }
begins() { diff -u <(printf '%s\n' "$@") <(sed 's/^\(# BEGIN RECORD\) .*/\1 2.1.2/' "$programs/out" | head -$#) || exit 1; }
ends() { diff -u <(printf '%s\n' "$@") <(tail -$# "$programs/out") || exit 1; }
has() { grep -Eq -- "$1" "$programs/out" || { echo "expected /$1/ in:"; cat "$programs/out"; exit 1; }; }

cat >/etc/iscsi/initiatorname.iscsi <<'END'
InitiatorName=iqn.2022-08.com.test:node01.initiator01
END
# Rocky Linux's file says automatic; the three lines below it are the guide's.
cat >/etc/iscsi/iscsid.conf <<'END'
node.startup = automatic
node.session.auth.authmethod = CHAP
node.session.auth.username = username
node.session.auth.password = password
END

iscsiadm -m discovery -t sendtargets -p 192.168.219.101 >"$programs/out" 2>&1
prints '192.168.219.101:3260,1 iqn.2022-08.com.test:dlp.target01'

iscsiadm -m node -o show >"$programs/out" 2>&1
begins '# BEGIN RECORD 2.1.2' 'node.name = iqn.2022-08.com.test:dlp.target01' 'node.tpgt = 1' 'node.startup = automatic' \
  'node.leading_login = No' 'iface.iscsi_ifacename = default'
ends 'node.conn[0].iscsi.HeaderDigest = None' 'node.conn[0].iscsi.DataDigest = None' 'node.conn[0].iscsi.IFMarker = No' \
  'node.conn[0].iscsi.OFMarker = No' '# END RECORD'

cat /proc/partitions >"$programs/before"
iscsiadm -m node --login >"$programs/out" 2>&1
prints 'Logging in to [iface: default, target: iqn.2022-08.com.test:dlp.target01, portal: 192.168.219.101,3260]' \
  'Login to [iface: default, target: iqn.2022-08.com.test:dlp.target01, portal: 192.168.219.101,3260] successful.'

iscsiadm -m session -o show >"$programs/out" 2>&1
prints 'tcp: [1] 192.168.219.101:3260,1 iqn.2022-08.com.test:dlp.target01 (non-flash)'

if [ "${1-}" = disk ]; then
  # The guide's disk is sdc; ours is what has come.
  cat /proc/partitions >"$programs/out"
  disk=$(comm -13 <(awk '$3 == 10485760 { print $4 }' "$programs/before" | sort) <(awk '$3 == 10485760 { print $4 }' "$programs/out" | sort))
  test -b "/dev/$disk"
  part=${disk}p1
  test "$(readlink -f /dev/disk/by-path/ip-192.168.219.101:3260-iscsi-iqn.2022-08.com.test:dlp.target01-lun-0)" = "/dev/$disk"

  parted --script "/dev/$disk" "mklabel gpt" >"$programs/out" 2>&1
  test ! -s "$programs/out"
  parted --script "/dev/$disk" "mkpart primary 0% 100%" >"$programs/out" 2>&1
  test ! -s "$programs/out"
  for _ in $(seq 50); do test -b "/dev/$part" && break; sleep 0.2; done
  mkfs.xfs -i size=1024 -s size=4096 "/dev/$part" >"$programs/out" 2>&1
  # What has changed in mkfs.xfs since is the size of the log and two words. The kernel's nbd has no word for the optimal
  # transfer length of a LUN: parted aligns to 1 MiB there, where the guide's disk from LIO has it at 8 MiB.
  has "^meta-data=/dev/$part +isize=1024   agcount=4, agsize=(654336|655232) blks$"
  has '^         =                       sectsz=4096  attr=2, projid32bit=1$'
  has '^         =                       crc=1        finobt=1, sparse=1, rmapbt=0$'
  has '^         =                       reflink=1'
  has '^data     =                       bsize=4096   blocks=(2617344|2620928), imaxpct=25$'
  has '^         =                       sunit=0      swidth=0 blks$'
  has '^naming   =version 2              bsize=4096   ascii-ci=0, ftype=1$'
  has '^log      =internal log           bsize=4096   blocks=[0-9]+, version=2$'
  has '^         =                       sectsz=4096  sunit=1 blks, lazy-count=1$'
  has '^realtime =none                   extsz=4096   blocks=0, rtextents=0$'
  mount "/dev/$part" /mnt
  df -hT >"$programs/out"
  has "^/dev/$part +xfs +10G +99M +9\.9G +1% /mnt$"

  # Not in the guide any more: a mounted disk keeps its session, which is in the list of differences.
  code=0
  iscsiadm -m node --logout >"$programs/out" 2>&1 || code=$?
  cat "$programs/out"
  test $code = 28
  has '^iscsiadm: initiator reported error \(28 - device or resource in use\)$'
  umount /mnt
fi

iscsiadm -m node --logout >"$programs/out" 2>&1
prints 'Logging out of session [sid: 1, target: iqn.2022-08.com.test:dlp.target01, portal: 192.168.219.101,3260]' \
  'Logout of [sid: 1, target: iqn.2022-08.com.test:dlp.target01, portal: 192.168.219.101,3260] successful.'
echo 'rocky-guide: every line as in the guide'
