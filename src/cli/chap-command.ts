// What the chap commands share: which records are meant, and what they say of a login that was tried.
import { Flags } from '@oclif/core';
import type { Holders } from '../services/records/credentials.js';
import type { TriedHolder } from '../services/records/try-credentials.js';
import { AppError } from '../util/errors.js';
import { NodeCommand } from './node-command.js';
import { acceptedText, type TrialJson, trialJson } from './render/chap.js';

export const discoveryFlag = {
  discovery: Flags.boolean({
    summary: 'The credentials of discovery: of the portal of -p, of those that named TARGET, or of the only one.',
  }),
};

type NodeInput = Parameters<NodeCommand['choice']>[0];
interface ChapInput extends NodeInput {
  readonly flags: NodeInput['flags'] & { readonly discovery: boolean };
}

export abstract class ChapCommand extends NodeCommand {
  /** The records that are meant; `make` as in the services, `all` where an empty choice means every one. */
  protected async holders(input: ChapInput, how: { make?: boolean; all?: boolean } = {}): Promise<Holders> {
    const { nodeHolders, discoveryHolders } = await import('../services/records/credentials.js');
    const choose = input.flags.discovery ? discoveryHolders : nodeHolders;
    const found = await choose(
      this.paths,
      { ...this.choice(input), all: how.all ?? false },
      { make: how.make ?? false },
    );
    for (const text of found.warnings) this.warning(text);
    return found;
  }

  /** Shows how each trial ended. The failures are the command's. */
  protected showTrials(tried: readonly TriedHolder[]): TrialJson[] {
    return tried.map(({ holder, outcome }) => {
      if (outcome instanceof AppError) this.failed(outcome);
      else this.render(acceptedText(holder, outcome));
      return trialJson(holder, outcome);
    });
  }
}
