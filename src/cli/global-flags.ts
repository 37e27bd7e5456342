// The flags that every command has.
import { Flags } from '@oclif/core';

const GLOBAL = 'GLOBAL';

/** As oclif's baseFlags: `--json` is added by oclif itself. */
export const globalFlags = {
  color: Flags.string({
    summary: 'When to use colour.',
    options: ['auto', 'always', 'never'],
    default: 'auto',
    helpValue: 'WHEN',
    helpGroup: GLOBAL,
  }),
  'no-color': Flags.boolean({ summary: 'The same as --color never.', helpGroup: GLOBAL }),
  quiet: Flags.boolean({
    char: 'q',
    summary: 'Write only data, warnings and errors: no hints and no progress.',
    helpGroup: GLOBAL,
  }),
  verbose: Flags.boolean({
    char: 'v',
    summary: 'Say what is being done, and what caused an error.',
    helpGroup: GLOBAL,
  }),
  debug: Flags.integer({
    char: 'd',
    summary:
      'How much to say: from 2 what caused an error, from 4 all that --verbose says, at 8 where in the program it arose.',
    min: 0,
    max: 8,
    default: 0,
    helpValue: '0..8',
    helpGroup: GLOBAL,
  }),
  'no-input': Flags.boolean({ summary: 'Never ask: fail where an answer is missing.', helpGroup: GLOBAL }),
  yes: Flags.boolean({
    char: 'y',
    summary: 'Answer harmless questions with yes. Never answers whether data may be destroyed.',
    helpGroup: GLOBAL,
  }),
  timeout: Flags.integer({
    summary: 'Longest wait for one network step, in seconds.',
    min: 1,
    max: 3600,
    helpValue: 'SEC',
    helpGroup: GLOBAL,
  }),
  'config-dir': Flags.string({
    summary: 'Folder of iscsid.conf and initiatorname.iscsi, instead of $LUNCTL_CONFIG_DIR or the default.',
    helpValue: 'DIR',
    helpGroup: GLOBAL,
  }),
  'db-dir': Flags.string({
    summary: 'Folder of the records, instead of $LUNCTL_DB_DIR or the default.',
    helpValue: 'DIR',
    helpGroup: GLOBAL,
  }),
  'run-dir': Flags.string({
    summary: 'Folder of running sessions, instead of $LUNCTL_RUN_DIR or the default.',
    helpValue: 'DIR',
    helpGroup: GLOBAL,
  }),
};
