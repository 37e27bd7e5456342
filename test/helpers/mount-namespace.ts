// A mount namespace copies every mount of the moment: those of a disk test that runs beside would be held by it, and that
// test's disk would be in use "in the mount namespace of another process".
import { tmpdir } from 'node:os';

/** A shell line for the start of a script in a new mount namespace: lets go of what other tests have mounted. */
export const FORGET_OTHERS = `awk -v here='${tmpdir()}/' 'index($2, here) == 1 { print $2 }' /proc/self/mounts | sort -r |
  while read -r mount; do umount --lazy "$mount" 2>/dev/null || true; done
`;
