// Asks a portal for its targets and makes the records follow the answer.
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { columnFlags } from '../../cli/columns.js';
import { credentialFlags, readCredentials } from '../../cli/credentials.js';
import { ifaceFlag, portalArg, portalFlag, sameOf } from '../../cli/flags.js';
import { nodeLine } from '../../cli/render/iscsiadm.js';
import { nodeJson, wayJson } from '../../cli/render/json.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { FOUND } from '../../cli/render/records.js';
import type { discoverySendtargets } from '../../cli/schemas/discovery.js';
import type { Result } from '../../cli/schemas/parts.js';
import { formatPortal } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';

export default class DiscoverySendtargets extends BaseCommand {
  static override summary = 'Ask a portal which targets it has, and keep a record of each';
  static override description =
    'Prints one line per way to a target, as iscsiadm does, and writes the node records: new ones are added, known ones take the settings of iscsid.conf again, and those that the portal no longer names are removed.';
  static override aliases = ['discover'];
  static override examples = [
    '<%= config.bin %> discovery sendtargets -p 192.168.219.101',
    '<%= config.bin %> discovery sendtargets [fd00::1]:3260 --json',
  ];
  static override args = { portal: portalArg() };
  static override flags = {
    portal: portalFlag(),
    iface: ifaceFlag({
      summary: 'Interface record to bind the node records to; the portal is asked by the first of several.',
      multiple: true,
    }),
    ...credentialFlags,
    save: Flags.boolean({ summary: 'Keep the CHAP credentials in the discovery record.', dependsOn: ['chap-user'] }),
    'no-save': Flags.boolean({ summary: 'Change no record.', exclusive: ['save'] }),
    ...columnFlags,
  };

  async run(): Promise<Result<typeof discoverySendtargets>> {
    const { args, flags } = await this.parse(DiscoverySendtargets);
    const asked = this.tableAskedFor(FOUND, flags);
    const portal = sameOf(args.portal, flags.portal, '--portal');
    if (portal === undefined) {
      throw new AppError('ERR_USAGE', 'which portal?', { hint: 'lunctl discovery sendtargets -p HOST' });
    }
    const given = await readCredentials(flags, { prompts: this.prompts, warn: (text) => this.warning(text) });
    const { discoverAndRecord } = await import('../../services/records/discover.js');
    const request = {
      portal,
      ifaces: flags.iface ?? [],
      initiatorName: await this.initiatorName(),
      credentials: given,
      keepCredentials: flags.save,
      strongSecrets: flags['require-strong-secret'],
      record: !flags['no-save'],
      timeoutMs: this.timeoutMs,
      signal: this.abortSignal,
    };
    const { targets, changes, warnings } = await this.waiting(`asking ${formatPortal(portal)} for its targets`, () =>
      discoverAndRecord(this.paths, request),
    );
    for (const text of warnings) this.warning(text);
    if (targets.length === 0) {
      throw new AppError(
        'ERR_NOT_FOUND',
        `No portals found: ${formatPortal(portal)} names no target for this initiator`,
        { hint: `this initiator is ${request.initiatorName}: a target may show itself only to those that it lists` },
      );
    }
    if (asked !== null) this.render(asked(targets));
    else if (this.toTerminal) this.render(listText(defaultColumns(FOUND), targets));
    else this.render(targets.map(nodeLine).join(''));
    this.next(`lunctl login ${targets[0]?.targetName}`);
    return {
      portal: { address: portal.address, port: portal.port },
      targets: targets.map(wayJson),
      changes: changes.map(({ what, ref }) => ({ what, ...nodeJson(ref) })),
    };
  }
}
