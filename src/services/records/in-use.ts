// Whether a session uses a record: then the record is not removed.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeRef } from '../../records/node-ref.js';
import type { Paths } from '../paths.js';
import { quickSessions } from '../session/quick-list.js';

/** Where the kernel's initiator says what its sessions are. */
const KERNEL = { sessions: '/sys/class/iscsi_session', connections: '/sys/class/iscsi_connection' };

interface Way {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly iface: string;
}

/** Sessions of ours, and those of the kernel's initiator, which has its records in the same database. */
export async function recordsInUse(
  paths: Pick<Paths, 'runDir'>,
  kernel: typeof KERNEL = KERNEL,
): Promise<(ref: NodeRef) => boolean> {
  const ours = (await quickSessions(paths)).map(({ targetName, portal, iface }) => ({ targetName, iface, ...portal }));
  const ways = [...ours, ...(await kernelSessions(kernel))];
  return (ref) => ways.some((way) => usesRecord(way, ref));
}

function usesRecord(way: Way, ref: NodeRef): boolean {
  return (
    way.targetName === ref.targetName && way.address === ref.address && way.port === ref.port && way.iface === ref.iface
  );
}

/**
 * The sessions of the kernel's initiator: session1, session2, …, and their first connections connection1:0,
 * connection2:0, …
 */
export async function kernelSessions({ sessions, connections }: typeof KERNEL = KERNEL): Promise<Way[]> {
  const names = await readdir(sessions).catch(() => []);
  return await Promise.all(
    names.map(async (name) => {
      const text = async (path: string) => (await readFile(path, 'utf8').catch(() => '')).trim();
      const connection = join(connections, `${name.replace('session', 'connection')}:0`);
      return {
        targetName: await text(join(sessions, name, 'targetname')),
        iface: await text(join(sessions, name, 'ifacename')),
        address: await text(join(connection, 'persistent_address')),
        port: Number(await text(join(connection, 'persistent_port'))),
      };
    }),
  );
}
