// Whole records, as iscsiadm shows them.
import { Flags } from '@oclif/core';
import { NodeCommand, nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { recordText } from '../../cli/render/iscsiadm.js';
import { nodeJson, valuesJson } from '../../cli/render/json.js';
import type { nodeShow } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { NODE_KEYS } from '../../records/keys.js';

export default class NodeShow extends NodeCommand {
  static override summary = 'Show the records of known targets in full';
  static override description =
    'Writes each record as iscsiadm does: every key in its order, <empty> where there is no value, secrets as ********.';
  static override examples = [
    '<%= config.bin %> node show iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> node show -T iqn.2022-08.com.test:dlp.target01 -p 192.168.219.101 --json',
  ];
  static override args = nodeArgs;
  static override flags = {
    ...nodeFlags,
    show: Flags.boolean({ char: 'S', summary: 'Show secrets as they are.' }),
  };

  async run(): Promise<Result<typeof nodeShow>> {
    const { args, flags } = await this.parse(NodeShow);
    const items = await this.chosenNodes({ args, flags });
    this.render(items.map(({ values }) => recordText(values, NODE_KEYS, { showSecrets: flags.show })).join(''));
    return {
      records: items.map(({ ref, values }) => ({
        ...nodeJson(ref),
        values: valuesJson(values, NODE_KEYS, flags.show),
      })),
    };
  }
}
