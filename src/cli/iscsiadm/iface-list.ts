// Mode iface of the iscsiadm face: interfaces listed, and one in full.
import { join } from 'node:path';
import { findIface, type IfaceRecord, listIfaces } from '../../records/iface-store.js';
import { IFACE_KEYS } from '../../records/keys.js';
import type { NodeRef } from '../../records/node-ref.js';
import { listNodes, type NodeRecord } from '../../records/node-store.js';
import { resolvePaths } from '../../services/paths.js';
import { AppError } from '../../util/errors.js';
import { ifaceLine, ifaceTree, recordText } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { Reported } from './reported.js';

/** Without -I all of them; -P 1: with the records that are bound to each. */
export async function showIfaces(call: Call, name: string | undefined): Promise<void> {
  const level = call.options.number('P') ?? 0;
  if (![-1, 0, 1].includes(level)) {
    call.talk.complain(`Invalid info level ${level}. Try 0 - 1.`);
    return call.talk.fail(Reported.Invalid);
  }
  const { dbDir } = resolvePaths();
  const nodes = level === 1 ? (await listNodes(dbDir)).items : [];
  if (level === 1 && nodes.length === 0) return;
  const ifaces = name === undefined ? (await listIfaces(dbDir)).items : await one(call, dbDir, name);
  if (level === 1) call.talk.out(ifaces.map(({ name: iface }) => ifaceTree(iface, boundTo(iface, nodes))).join(''));
  else if (name === undefined) call.talk.out(ifaces.map(ifaceLine).join(''));
  else call.talk.out(ifaces.map(({ values }) => recordText(values, IFACE_KEYS, { showSecrets: false })).join(''));
}

async function one({ talk }: Call, dbDir: string, name: string): Promise<readonly IfaceRecord[]> {
  const found = await findOrNone(dbDir, name);
  if (found !== undefined) return [found];
  const path = join(dbDir, 'ifaces', name);
  const where = 'idbm.c:_idbm_recs_read():834';
  talk.bare(`iSCSI ERROR: Failed to open ${path} using read mode: 2 No such file or directory # ${where}`);
  talk.fail(Reported.Database);
  return [];
}

/** A name that cannot be a file name is none either. */
async function findOrNone(dbDir: string, name: string): Promise<IfaceRecord | undefined> {
  try {
    return await findIface(dbDir, name);
  } catch (error) {
    if (error instanceof AppError && error.code === 'ERR_USAGE') return undefined;
    throw error;
  }
}

/** Whether there is such an interface and it can be read. */
export async function ifaceIsThere(name: string): Promise<boolean> {
  return (await findOrNone(resolvePaths().dbDir, name).catch(() => undefined)) !== undefined;
}

function boundTo(iface: string, nodes: readonly NodeRecord[]): NodeRef[] {
  return nodes.map(({ ref }) => ref).filter((ref) => ref.iface === iface);
}
