// What is in force on this machine, and where each setting comes from.
import { readConfigFile } from '../records/config-file.js';
import { newRecordSettings } from '../records/new-record.js';
import { findIdentity } from './identity.js';
import type { Paths } from './paths.js';

export interface Origin {
  readonly kind: 'default' | 'file' | 'flag' | 'environment';
  /** The file, or the name of the flag or variable. */
  readonly name: string | null;
  readonly line: number | null;
}

export interface Setting {
  readonly key: string;
  /** '' for none. */
  readonly value: string;
  readonly origin: Origin;
}

/** The flags that name folders, if they were given. */
interface FolderFlags {
  readonly 'config-dir'?: string;
  readonly 'db-dir'?: string;
  readonly 'run-dir'?: string;
}

const DEFAULT: Origin = { kind: 'default', name: null, line: null };

/** The folders, the initiator name, and every setting that a new record gets; `warnings` of what iscsid.conf has besides. */
export async function showConfig(
  paths: Paths,
  flags: FolderFlags,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<{ readonly settings: readonly Setting[]; readonly warnings: readonly string[] }> {
  const config = await readConfigFile(paths.configDir);
  const identity = await findIdentity(paths);
  const places = [
    ['config-dir', paths.configDir],
    ['db-dir', paths.dbDir],
    ['run-dir', paths.runDir],
  ] as const;
  const name: Setting = {
    key: 'InitiatorName',
    value: identity?.initiatorName ?? '',
    origin: identity === undefined ? DEFAULT : { kind: 'file', name: identity.path, line: null },
  };
  const inFile = (key: string): Origin => {
    const line = config.lines.get(key);
    return line === undefined ? DEFAULT : { kind: 'file', name: config.path, line };
  };
  const settings = newRecordSettings(config.values);
  // Keys of iscsid itself, and those that are not known.
  for (const [key, value] of config.values) if (!settings.has(key)) settings.set(key, value);
  return {
    settings: [
      ...places.map(([key, value]) => ({ key, value, origin: placeOrigin(key, flags, env) })),
      name,
      ...[...settings].map(([key, value]) => ({ key, value, origin: inFile(key) })),
    ],
    warnings: config.warnings,
  };
}

function placeOrigin(
  key: keyof FolderFlags,
  flags: FolderFlags,
  env: Readonly<Record<string, string | undefined>>,
): Origin {
  if (flags[key]) return { kind: 'flag', name: `--${key}`, line: null };
  const variable = `LUNCTL_${key.toUpperCase().replace('-', '_')}`;
  return env[variable] ? { kind: 'environment', name: variable, line: null } : DEFAULT;
}
