// Makes a node record by hand, for a target that no portal has named.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { ifaceFlag, portalFlag } from '../../cli/flags.js';
import { didText, nodeDone } from '../../cli/render/edits.js';
import { nodeJson } from '../../cli/render/json.js';
import type { nodeNew } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag, splitSettings } from '../../cli/settings.js';
import { checkIscsiName } from '../../iscsi/names.js';

export default class NodeNew extends BaseCommand {
  static override summary = 'Make a record by hand, for a target that no portal has named';
  static override description =
    'It gets the settings of iscsid.conf and of its interface, and those given as KEY=VALUE. A record that is there already is refused.';
  static override usage = '<%= command.id %> TARGET -p PORTAL [KEY=VALUE...]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01 -p 192.168.219.101',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01 -p 192.168.219.101:3260,1 node.startup=automatic',
  ];
  static override strict = false;
  static override args = { target: Args.string({ description: 'Whole name of the target.', required: true }) };
  static override flags = {
    portal: portalFlag({
      required: true,
      summary: 'HOST, HOST:PORT or [IPV6]:PORT; its group tag may follow as ,TAG.',
    }),
    iface: ifaceFlag(),
    replace: Flags.boolean({
      summary: 'Make a record that is there anew: it loses its settings and secrets.',
      default: false,
    }),
    ...dryRunFlag,
  };

  async run(): Promise<Result<typeof nodeNew>> {
    const { argv, flags } = await this.parse(NodeNew);
    const { name = '', changes } = splitSettings(argv);
    const { portal, iface, replace } = flags;
    const dryRun = flags['dry-run'];
    const { addNode } = await import('../../services/records/edit-nodes.js');
    const wanted = { targetName: checkIscsiName(name), portal, tpgt: portal.group ?? -1, iface };
    const { ref } = await addNode(this.paths, wanted, this.abortSignal, { replace, changes, dryRun });
    this.render(nodeDone(didText('added', dryRun), ref));
    if (!dryRun) this.next(`lunctl login ${ref.targetName}`);
    return { dryRun, node: nodeJson(ref) };
  }
}
