// What the commands on node records share: which of them the TARGET argument, -T and -p mean.
import type { NodeRecord } from '../services/records/records.js';
import type { TargetChoice } from '../services/records/target.js';
import { BaseCommand } from './base-command.js';
import { ifaceFlag, type PortalValue, portalFlag, sameOf, targetArg, targetFlag } from './flags.js';

export const nodeArgs = { target: targetArg() };
export const nodeFlags = { targetname: targetFlag(), portal: portalFlag(), iface: ifaceFlag() };

/** What `parse` returns of the two above. */
interface NodeInput {
  readonly args: { readonly target?: string | undefined };
  readonly flags: {
    readonly targetname?: string | undefined;
    readonly portal?: PortalValue | undefined;
    readonly iface?: string | undefined;
  };
}

export abstract class NodeCommand extends BaseCommand {
  /** On a terminal the end of a name is enough. @throws AppError ERR_USAGE for two different names */
  protected choice({ args, flags }: NodeInput): Omit<TargetChoice, 'all'> {
    return {
      target: sameOf(args.target, flags.targetname, '--targetname'),
      portal: flags.portal && { address: flags.portal.address, port: flags.portal.explicitPort },
      iface: flags.iface,
      suffix: this.toTerminal,
    };
  }

  /**
   * Every record that is meant; what could not be read is warned of. Unless `all`, nothing chosen is good for the only
   * target that there is.
   * @throws AppError ERR_NOT_FOUND for none
   */
  protected async chosenNodes(input: NodeInput, { all = true } = {}): Promise<readonly NodeRecord[]> {
    const { chooseNodes } = await import('../services/records/choose.js');
    const { items, warnings } = await chooseNodes(this.paths, { ...this.choice(input), all });
    for (const text of warnings) this.warning(text);
    return items;
  }
}
