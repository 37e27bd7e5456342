// Changes settings of one node.
import { Args, Flags } from '@oclif/core';
import { givenSecret } from '../../cli/credentials.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetSet } from '../../cli/schemas/target-tree.js';
import { controlFlag, pathArgument, TargetCommand } from '../../cli/target-command.js';
import { AppError } from '../../util/errors.js';

const GROUP = 'CHAP';

export default class TargetSet extends TargetCommand {
  static override summary = 'Change attributes, parameters and credentials of a node';
  static override description =
    'A CHAP secret comes from a file or a descriptor: everyone can read a command line. global changes the preferences of the target shell.';
  static override usage = '<%= command.id %> PATH GROUP [NAME=VALUE]...';
  static override examples = [
    '<%= config.bin %> <%= command.id %> /iscsi/iqn.2022-08.com.test:dlp.target01/tpg1 attribute authentication=1',
    '<%= config.bin %> <%= command.id %> /iscsi/IQN/tpg1/acls/IQN auth userid=username --chap-secret-file secret',
  ];
  static override strict = false;
  static override args = {
    ...pathArgument,
    group: Args.string({
      name: 'GROUP',
      required: true,
      description: 'attribute, parameter, auth, alua, discovery_auth or global.',
    }),
  };
  static override flags = {
    ...controlFlag,
    'chap-secret-file': Flags.string({
      summary: 'File with the secret of userid (password); - reads standard input. Refused when others may read it.',
      helpValue: 'FILE',
      helpGroup: GROUP,
    }),
    'chap-secret-fd': Flags.integer({
      summary: 'Read it from this file descriptor.',
      helpValue: 'N',
      helpGroup: GROUP,
      min: 0,
      exclusive: ['chap-secret-file'],
    }),
    'mutual-secret-file': Flags.string({
      summary: 'File with the secret of mutual_userid (mutual_password); - reads standard input.',
      helpValue: 'FILE',
      helpGroup: GROUP,
    }),
    'mutual-secret-fd': Flags.integer({
      summary: 'Read it from this file descriptor.',
      helpValue: 'N',
      helpGroup: GROUP,
      min: 0,
      exclusive: ['mutual-secret-file'],
    }),
  };

  async run(): Promise<Result<typeof targetSet>> {
    const { argv, flags } = await this.parse(TargetSet);
    for (const word of argv.map(String)) {
      if (!/^(?:mutual_)?password=./.test(word)) continue;
      throw new AppError(
        'ERR_USAGE',
        `${word.slice(0, word.indexOf('='))} is a secret, and everyone can read a command line`,
        {
          hint: 'give --chap-secret-file or --mutual-secret-file, or type it in lunctl target shell',
        },
      );
    }
    // The environment is left out: what it names is for the commands that log in.
    const password = await givenSecret('chap', flags, {});
    const mutual = await givenSecret('mutual', flags, {});
    return await this.runOn(
      'set',
      [
        ...argv,
        ...(password === null ? [] : [`password=${password}`]),
        ...(mutual === null ? [] : [`mutual_password=${mutual}`]),
      ],
      flags.control,
    );
  }
}
