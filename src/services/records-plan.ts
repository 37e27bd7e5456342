// From a choice of targets to login requests: records, credentials, offers and timers put together.
import { checkIscsiName } from '../iscsi/names.js';
import { DEFAULT_PORT } from '../iscsi/portal.js';
import { AppError } from '../util/errors.js';
import type { Paths } from './paths.js';
import { type ConfigFile, type NodeRecord, readConfig, selectNodes, temporaryNode } from './records.js';
import { type CredentialPair, nodeCredentials } from './records-auth.js';
import { negotiateFrom, timersFrom } from './records-login.js';
import { chooseTargets, splitTarget, type TargetChoice } from './records-target.js';
import type { AttachMode, LoginRequest } from './session-info.js';

export interface LoginPlan {
  /** At least one. */
  readonly records: readonly NodeRecord[];
  readonly config: ConfigFile;
  readonly warnings: readonly string[];
}

/**
 * The records to log in with. A target name and a portal together need no record: the settings are iscsid.conf's.
 * @throws AppError ERR_NOT_FOUND, or ERR_USAGE when the choice could be several targets
 */
export async function planLogin(paths: Pick<Paths, 'configDir' | 'dbDir'>, choice: TargetChoice): Promise<LoginPlan> {
  const wanted = splitTarget(choice);
  const config = await readConfig(paths);
  const { items, warnings } = await selectNodes(paths);
  const candidates = items.map((record) => ({ ...record.ref, record }));
  const records = chooseTargets(candidates, wanted).map(({ record }) => record);
  const all = [...config.warnings, ...warnings];
  if (records.length > 0) return { records, config, warnings: all };
  const { target, portal } = wanted;
  if (target !== undefined && portal !== undefined) {
    const { address, port } = portal;
    return {
      records: [temporaryNode(checkIscsiName(target), { address, port: port ?? DEFAULT_PORT }, config)],
      config,
      warnings: all,
    };
  }
  throw new AppError('ERR_NOT_FOUND', 'No records found', {
    hint: target === undefined ? 'lunctl discovery sendtargets -p HOST makes them' : 'find it first, or add -p PORTAL',
  });
}

export interface LoginWishes {
  readonly initiatorName: string;
  readonly credentials: CredentialPair | null;
  readonly attach: AttachMode;
  readonly readOnly: boolean;
  readonly foreground: boolean;
  readonly also: boolean;
  readonly shared: boolean;
  readonly connections: number;
  /** Bound of connecting and logging in, instead of the record's. */
  readonly timeoutMs: number | undefined;
}

/** No portal is given longer than this, whatever its record says. Milliseconds. */
const LOGIN_MOST_MS = 15_000;

/** What the login service is asked for one record. */
export function loginRequest(record: NodeRecord, config: ConfigFile, wishes: LoginWishes): LoginRequest {
  const { targetName, address, port, tpgt, iface } = record.ref;
  const timers = timersFrom(record);
  const timeoutMs = wishes.timeoutMs ?? Math.min(timers.loginTimeoutMs, LOGIN_MOST_MS);
  return {
    targetName,
    portal: { address, port, tpgt },
    iface,
    initiatorName: record.values.text('iface.initiatorname') || wishes.initiatorName,
    credentials: nodeCredentials(wishes.credentials, record.values, config.values),
    attach: wishes.attach,
    readOnly: wishes.readOnly,
    foreground: wishes.foreground,
    timeoutMs,
    negotiate: negotiateFrom(record),
    timers: { ...timers, loginTimeoutMs: timeoutMs },
    connections: wishes.connections,
    also: wishes.also,
    shared: wishes.shared,
  };
}
