// From the name of a LUN to its disk: a session, made from a record or found behind a portal, and a device.
import { DEFAULT_PORT, formatAddress } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';
import { planAttach } from '../attach/attach.js';
import { login } from '../login.js';
import type { Paths } from '../paths.js';
import { saveCredentials } from '../records/credentials.js';
import { discoverAndRecord } from '../records/discover.js';
import { credentialWarnings, type LoginPlan, loginRequest, planLogin, requireStrongSecrets } from '../records/plan.js';
import { selectNodes } from '../records/records.js';
import type { CredentialPair } from '../secret-rules.js';
import { attachLun } from '../session/control.js';
import type { AttachMode } from '../session/info.js';
import { listSessions } from '../session/registry.js';
import { type DiskTarget, findListed } from './name.js';
import { resolveTarget } from './prepare.js';

export interface ReachOptions {
  readonly paths: Paths;
  readonly signal: AbortSignal;
  /** DEV or TARGET/LUN as typed. */
  readonly dev: string;
  readonly portal?: { readonly address: string; readonly port: number | null } | undefined;
  readonly credentials: CredentialPair | null;
  /** Keep them in the record. */
  readonly save: boolean;
  readonly strongSecrets: boolean;
  readonly attach: AttachMode;
  readonly timeoutMs?: number | undefined;
  initiatorName(): Promise<string>;
  onWarning(text: string): void;
  onProgress(text: string): void;
}

const LUN_NAME = /^([^/].*)\/(\d{1,5})$/;

/** The LUN if a session has it, otherwise the name of the target to log in to. @throws AppError see `findDisk` */
export async function findReached(options: ReachOptions): Promise<{ target: DiskTarget } | { targetName: string }> {
  const list = await listSessions(options.paths, options);
  const { sessions } = list;
  try {
    const target = findListed(options.dev, list);
    if (target.partition === null) return { target };
    throw new AppError('ERR_USAGE', `${target.name} is a partition, and the label is a whole disk's`, {
      hint: 'name the disk',
    });
  } catch (error) {
    const targetName = LUN_NAME.exec(options.dev)?.[1];
    if (!(error instanceof AppError) || error.code !== 'ERR_NOT_FOUND' || targetName === undefined) throw error;
    const session = sessions.find((other) => other.targetName === targetName);
    if (session === undefined) return { targetName };
    throw new AppError('ERR_NOT_FOUND', `session ${session.sid} has no disk ${options.dev}`, {
      cause: error,
      hint: `lunctl session rescan ${session.sid}`,
    });
  }
}

/**
 * How the LUN will get a device; `none` only if that is what was asked for. To be called before anything is changed.
 * @throws AppError ERR_DRIVER_MISSING or ERR_ACCESS when there is no way to a device here
 */
export async function chooseAttach(attach: AttachMode): Promise<'nbd' | 'fuse' | 'none'> {
  if (attach !== 'auto') return (await planAttach(attach)).mode;
  try {
    return (await planAttach('nbd')).mode;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, `there can be no device to mount: ${error.message}; nothing was changed`, {
      cause: error,
      hint: '--attach fuse needs root and no module; --attach none ends with the file system, and needs no root',
    });
  }
}

/** Logs in by the first record of the target that works; its LUNs get no devices. */
export async function logIn(targetName: string, options: ReachOptions): Promise<{ sid: number; portal: string }> {
  const plan = await planFor(targetName, options);
  if (options.strongSecrets) requireStrongSecrets(plan, options.credentials);
  for (const text of [...plan.warnings, ...credentialWarnings(plan, options.credentials)]) options.onWarning(text);
  const wishes = {
    initiatorName: await options.initiatorName(),
    credentials: options.credentials,
    attach: 'none' as const,
    ...{ readOnly: false, foreground: false, also: false, shared: false, connections: 1 },
    timeoutMs: options.timeoutMs,
  };
  const { paths, signal, onProgress } = options;
  let first: unknown;
  for (const record of plan.records) {
    try {
      const { sid, portal } = await login(loginRequest(record, plan.config, wishes), { paths, signal, onProgress });
      if (options.save && options.credentials !== null) {
        await saveCredentials(paths, [record], options.credentials, signal);
      }
      return { sid, portal: formatAddress(portal) };
    } catch (error) {
      if (signal.aborted) throw error;
      first ??= error;
    }
  }
  throw first;
}

/** Gives the LUN a device if it has none; that another command has just done so is as good. */
export async function attach(target: DiskTarget, mode: 'nbd' | 'fuse', options: ReachOptions): Promise<DiskTarget> {
  const { session, device, fullName } = target;
  const failure = await attachLun(options.paths, session.sid, { lun: device.lun, mode }, options).then(
    () => null,
    (error: unknown) => error,
  );
  const after = await resolveTarget({ ...options, dev: fullName });
  if (failure !== null && after.device.path === null) throw failure;
  return after;
}

/** A record, or else what a discovery at the portal makes one of. */
async function planFor(target: string, options: ReachOptions): Promise<LoginPlan> {
  const { paths, portal } = options;
  const choice = { target, all: true, suffix: false };
  const { items } = await selectNodes(paths, { targetName: target, portal });
  if (items.length > 0 || portal === undefined) return planLogin(paths, { ...choice, portal });
  await discover(target, portal, options);
  const after = await selectNodes(paths, { targetName: target, portal });
  // A portal may be reached by another address than the one that it names itself by.
  return planLogin(paths, after.items.length > 0 ? { ...choice, portal } : choice);
}

async function discover(target: string, portal: NonNullable<ReachOptions['portal']>, options: ReachOptions) {
  const { paths, signal, timeoutMs, strongSecrets } = options;
  const at = { address: portal.address, port: portal.port ?? DEFAULT_PORT };
  options.onProgress(`asking ${formatAddress(at)} for its targets`);
  const request = {
    portal: at,
    ...{ ifaces: [], keepCredentials: false, record: true, onlyNew: target, strongSecrets, timeoutMs, signal },
    initiatorName: await options.initiatorName(),
  };
  // The flags are for the login; a portal that wants them for the discovery too says so.
  const { targets, warnings } = await discoverAndRecord(paths, { ...request, credentials: null }).catch(
    (error: unknown) => {
      const refused = error instanceof AppError && error.code === 'ERR_LOGIN_AUTH';
      if (!refused || options.credentials === null) throw error;
      return discoverAndRecord(paths, { ...request, credentials: options.credentials });
    },
  );
  for (const text of warnings) options.onWarning(text);
  if (targets.some(({ targetName }) => targetName === target)) return;
  throw new AppError('ERR_NOT_FOUND', `${formatAddress(at)} names no target ${target}`, {
    hint: `lunctl discovery sendtargets -p ${formatAddress(at)} lists those that it has`,
  });
}
