// What makes a mount come back at boot: a line of fstab, and a node record by which lunctl-login.service logs in.
import { shellWord } from '../../disk/shell.js';
import { formatAddress } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';
import type { Paths } from '../paths.js';
import { nodeCredentials } from '../records/auth.js';
import { type NodeRecord, readConfig, recordsOfPath, saveAutomaticStartup } from '../records/records.js';
import type { SessionInfo } from '../session/info.js';
import type { DiskContext } from './access.js';
import { addToFstab, type FstabResult, type FstabWish, hasLoginUnit, planFstabLine } from './fstab.js';

export interface BootContext extends DiskContext {
  readonly paths: Pick<Paths, 'runDir' | 'configDir' | 'dbDir'>;
}

export interface BootMount {
  readonly fstab: FstabResult;
  /** Whether the record of the session has been made to log in at boot now; null where there is no record. */
  readonly startup: { readonly targetName: string; readonly changed: boolean } | null;
  /** What is still in the way of a boot, one sentence each. */
  readonly warnings: readonly string[];
}

/** @throws AppError ERR_NOT_SUPPORTED for a file system without a UUID, by which alone a boot finds it. */
export function bootWish(
  found: { readonly uuid: string | null; readonly type: string | null },
  rest: Pick<FstabWish, 'directory' | 'options'>,
  name: string,
): FstabWish {
  const { uuid, type } = found;
  if (uuid === null || type === null || !/^[\w-]+$/.test(uuid)) {
    throw new AppError('ERR_NOT_SUPPORTED', `${name} has no UUID, so that fstab cannot name it`);
  }
  return { ...rest, uuid, type };
}

/** Adds the line and sets node.startup; what says so already stays as it is, to the byte. */
export async function mountAtBoot(session: SessionInfo, wish: FstabWish, context: BootContext): Promise<BootMount> {
  const fstab = await addToFstab(wish, context);
  const signal = context.signal ?? new AbortController().signal;
  const { found, changed } = await saveAutomaticStartup(context.paths, session, signal);
  const startup = found.length === 0 ? null : { targetName: session.targetName, changed };
  return { fstab, startup, warnings: await warnings(session, found, context.paths) };
}

/** The same as lines, and nothing changed: the record is shown as a comment, as no shell tool of everybody's writes it. */
export async function bootLines(session: SessionInfo, wish: FstabWish, context: BootContext): Promise<string[]> {
  const { line, path, changed } = await planFstabLine(wish);
  const found = await recordsOfPath(context.paths, session);
  const manual = found.filter(({ values }) => values.text('node.startup') !== 'automatic');
  return [
    ...(changed ? [`printf '%s\\n' ${shellWord(line)} >> ${shellWord(path)}`] : []),
    ...manual.map(({ ref }) => `# node.startup = automatic in the record of ${ref.targetName} at ${ref.address}`),
  ];
}

async function warnings(
  session: SessionInfo,
  records: readonly NodeRecord[],
  paths: BootContext['paths'],
): Promise<string[]> {
  const { targetName, portal } = session;
  const unit = hasLoginUnit()
    ? []
    : ['nothing logs in at boot: lunctl config unit login prints the unit for it, lunctl-login.service'];
  if (records.length === 0) {
    const at = formatAddress(portal);
    return [
      ...unit,
      `${targetName} has no record, so that nothing logs in to it at boot: lunctl discovery sendtargets -p ${at} makes one`,
    ];
  }
  const { values: config } = await readConfig(paths);
  const without =
    session.authMethod === 'CHAP' && records.some(({ values }) => nodeCredentials(null, values, config) === null);
  return without
    ? [...unit, `the record of ${targetName} has no CHAP credentials for a boot: log in with --save once`]
    : unit;
}
