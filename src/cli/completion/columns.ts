// The columns that -o knows, of every command that lists.
import { CHAP } from '../render/chap.js';
import { SESSIONS } from '../render/devices.js';
import { DISKS } from '../render/disk.js';
import { blockRuns, LUNS } from '../render/lun.js';
import { DISCOVERIES, FOUND, IFACES, NODES } from '../render/records.js';
import { TARGET_SESSIONS } from '../render/target.js';

const LISTINGS = {
  'chap:show': CHAP,
  'discovery:list': DISCOVERIES,
  'discovery:sendtargets': FOUND,
  'disk:list': DISKS,
  'iface:list': IFACES,
  'lun:list': LUNS,
  'lun:map': blockRuns(1),
  'node:list': NODES,
  'session:show': SESSIONS,
  'target:sessions': TARGET_SESSIONS,
} as const;

/** Names of columns by the id of the command. */
export function listedColumns(): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(Object.entries(LISTINGS).map(([id, listing]) => [id, listing.map(({ head }) => head)]));
}
