// Our initiator against a port, without a worker process: the session as a worker opens it, and its LUNs as BlockDevices.
import { randomBytes } from 'node:crypto';
import type { Lun } from '../../src/initiator/lun.js';
import { type OpenSession, openSession } from '../../src/services/session/connect.js';
import type { LoginRequest } from '../../src/services/session/info.js';
import type { SessionLog } from '../../src/services/session/log.js';
import { openLuns } from '../../src/services/session/luns.js';
import { loginRequest } from '../helpers/session.js';
import { FAKE_TARGET } from './fake-server.js';

export interface Initiator {
  readonly open: OpenSession;
  readonly luns: readonly Lun[];
  readonly lun: Lun;
  /** `level: message`, oldest first. */
  readonly lines: readonly string[];
  /** Logs out, within the bounds of a logout. */
  close(): Promise<void>;
}

export type Login = Partial<LoginRequest> & { readonly isid?: Buffer; readonly signal?: AbortSignal };

/** Logs in and looks for LUNs. Rejects as `openSession` does. */
export async function connect(port: number, login: Login = {}): Promise<Initiator> {
  const lines: string[] = [];
  const { isid = randomIsid(), signal, targetName = FAKE_TARGET, ...changes } = login;
  const request = loginRequest(targetName, port, changes);
  const log = recorder(lines);
  const open = await openSession({ login: request, isid, log, signal });
  const luns = await openLuns(open.session, { readOnly: false, log });
  return {
    open,
    luns,
    get lun(): Lun {
      const [lun] = luns;
      if (lun === undefined) throw new Error('no LUN was found');
      return lun;
    },
    lines,
    async close() {
      await open.session.logout().catch(() => {});
      await open.close();
    },
  };
}

function randomIsid(): Buffer {
  return Buffer.concat([Buffer.from([0x80]), randomBytes(5)]);
}

function recorder(lines: string[]): SessionLog {
  const at = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
