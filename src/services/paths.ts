// Where configuration, records and run state live: one place decides, for root and for everyone else.
import { readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { AppError } from '../util/errors.js';
import { isRoot } from '../util/user.js';

/** Absolute paths. Nothing here has been created yet, except what was found. */
export interface Paths {
  /** iscsid.conf and initiatorname.iscsi. */
  readonly configDir: string;
  /** nodes/, send_targets/, ifaces/ in open-iscsi's layout. */
  readonly dbDir: string;
  /** One folder per session below `s/`: state, control.sock, nbd.sock, log. */
  readonly runDir: string;
  /** The saved target configuration, rtslib's JSON. */
  readonly targetConfig: string;
  /** What is kept beside the records: what `disk wipe` has taken off disks. */
  readonly stateDir: string;
}

/** Command-line flags win over the environment. */
export interface PathOverrides {
  readonly configDir?: string | undefined;
  readonly dbDir?: string | undefined;
  readonly runDir?: string | undefined;
  readonly targetConfig?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What the decision depends on besides the environment; tests give their own. */
export interface PathFacts {
  readonly root: boolean;
  readonly home: () => string;
  /** Whether a folder exists and has an entry. */
  readonly hasEntries: (folder: string) => boolean;
  /** Whether a path exists. */
  readonly exists: (path: string) => boolean;
}

/** sun_path holds 108 bytes with its terminating zero. */
const SOCKET_PATH_LARGEST = 107;
/** The longest socket name below the run folder. */
const LONGEST_SOCKET = '/s/4294967295/control.sock';
const RECORD_FOLDERS = ['nodes', 'send_targets', 'ifaces', 'isns', 'static', 'fw'];
/** Any of these says that rtslib owns /etc/target on this host. */
const RTSLIB_TRACES = [
  '/etc/rtslib-fb-target',
  '/usr/bin/targetctl',
  '/usr/bin/targetcli',
  '/usr/lib/python3/dist-packages/rtslib',
  '/usr/lib/python3/dist-packages/rtslib_fb',
];

/**
 * Resolves every location: flag, then LUNCTL_* variable, then the default for root or for another user.
 * @throws AppError ERR_USAGE when the run folder is too long for a unix socket, ERR_ACCESS when there is no home folder.
 */
export function resolvePaths(
  env: Environment = process.env,
  overrides: PathOverrides = {},
  facts: PathFacts = factsOfThisProcess(),
): Paths {
  const defaults = facts.root ? rootDefaults(facts) : userDefaults(env, facts);
  const pick = (flag: string | undefined, name: string, fallback: () => string): string =>
    resolve(nonEmpty(flag) ?? nonEmpty(env[name]) ?? fallback());
  const runDir = pick(overrides.runDir, 'LUNCTL_RUN_DIR', defaults.runDir);
  if (Buffer.byteLength(runDir + LONGEST_SOCKET) > SOCKET_PATH_LARGEST) {
    throw new AppError('ERR_USAGE', `run folder ${runDir} is too long for a unix socket below it`, {
      hint: `name one of at most ${SOCKET_PATH_LARGEST - LONGEST_SOCKET.length} bytes with --run-dir or LUNCTL_RUN_DIR`,
    });
  }
  const dbDir = pick(overrides.dbDir, 'LUNCTL_DB_DIR', defaults.dbDir);
  return {
    configDir: pick(overrides.configDir, 'LUNCTL_CONFIG_DIR', defaults.configDir),
    dbDir,
    runDir,
    targetConfig: pick(overrides.targetConfig, 'LUNCTL_TARGET_CONFIG', defaults.targetConfig),
    // Root's records lie in open-iscsi's folder, which is not ours to fill.
    stateDir: pick(undefined, 'LUNCTL_STATE_DIR', () => (facts.root ? '/var/lib/lunctl' : dbDir)),
  };
}

type Defaults = { readonly [key in Exclude<keyof Paths, 'stateDir'>]: () => string };

function rootDefaults(facts: PathFacts): Defaults {
  return {
    configDir: () => '/etc/iscsi',
    // open-iscsi moved its database in 2.1.9; whichever holds records is the one in use.
    dbDir: () =>
      RECORD_FOLDERS.some((folder) => facts.hasEntries(`/var/lib/iscsi/${folder}`)) ? '/var/lib/iscsi' : '/etc/iscsi',
    runDir: () => '/run/lunctl',
    targetConfig: () =>
      RTSLIB_TRACES.some(facts.exists) ? '/etc/lunctl/saveconfig.json' : '/etc/target/saveconfig.json',
  };
}

function userDefaults(env: Environment, facts: PathFacts): Defaults {
  const state = () => join(xdg(env, 'XDG_STATE_HOME') ?? join(facts.home(), '.local/state'), 'lunctl');
  return {
    configDir: () => join(xdg(env, 'XDG_CONFIG_HOME') ?? join(facts.home(), '.config'), 'lunctl'),
    dbDir: state,
    // Never below /tmp, where others could be first.
    runDir: () => {
      const runtime = xdg(env, 'XDG_RUNTIME_DIR');
      return runtime === undefined ? join(state(), 'run') : join(runtime, 'lunctl');
    },
    targetConfig: () => join(state(), 'target/saveconfig.json'),
  };
}

/** The XDG base directory specification: a relative path counts as not set. */
function xdg(env: Environment, name: string): string | undefined {
  const value = nonEmpty(env[name]);
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}

function factsOfThisProcess(): PathFacts {
  return {
    root: isRoot(),
    home: () => {
      const home = homedir();
      if (!isAbsolute(home)) {
        throw new AppError('ERR_ACCESS', 'this user has no home folder', {
          hint: 'set LUNCTL_CONFIG_DIR, LUNCTL_DB_DIR and LUNCTL_RUN_DIR',
        });
      }
      return home;
    },
    hasEntries: (folder) => {
      try {
        return readdirSync(folder).length > 0;
      } catch {
        return false;
      }
    },
    exists: (path) => statSync(path, { throwIfNoEntry: false }) !== undefined,
  };
}
