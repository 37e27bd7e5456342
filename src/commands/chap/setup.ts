// Stores CHAP credentials, once the target has accepted them.
import { Flags } from '@oclif/core';
import { ChapCommand, discoveryFlag } from '../../cli/chap-command.js';
import { credentialFlags } from '../../cli/credentials.js';
import { nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { askYesNo } from '../../cli/prompt.js';
import { acceptedText, holderJson, trialJson } from '../../cli/render/chap.js';
import type { chapSetup } from '../../cli/schemas/chap.js';
import type { Result } from '../../cli/schemas/parts.js';
import { formatAddress } from '../../iscsi/portal.js';
import type { Holders } from '../../services/records/credentials.js';
import type { TriedHolder } from '../../services/records/try-credentials.js';
import type { CredentialPair } from '../../services/secret-rules.js';
import { AppError, type ErrorCode } from '../../util/errors.js';

type SetupJson = Result<typeof chapSetup>;

export default class ChapSetup extends ChapCommand {
  static override summary = 'Store the CHAP user and secret of a target';
  static override description =
    `Asks for the user name and, twice and without showing it, for the secret; logs in to the target and out again to see whether it takes them; and stores them in the records of all portals of the target, in files that only their owner may read.

In a script --chap-user names the user, and the secret comes from a file, a descriptor, standard input (--chap-secret-file -), the file that LUNCTL_CHAP_SECRET_FILE names, or chap-secret in the credentials of a systemd unit. What a target refuses is not stored then, unless --no-test leaves it out of this.

With --discovery the credentials are those that a portal wants before it lists its targets.`;
  static override examples = [
    '<%= config.bin %> chap setup iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> chap setup iqn.2022-08.com.test:dlp.target01 --mutual',
    '<%= config.bin %> chap setup --discovery -p 192.168.219.101 --chap-user username --chap-secret-file secret',
    '<%= config.bin %> chap setup -T iqn.2022-08.com.test:dlp.target01 --chap-user username --chap-secret-fd 3 3<secret',
  ];
  static override args = nodeArgs;
  static override flags = {
    ...nodeFlags,
    ...discoveryFlag,
    ...credentialFlags,
    mutual: Flags.boolean({ summary: 'The target must prove itself too.', helpGroup: 'CHAP' }),
    test: Flags.boolean({
      summary: 'Whether the target is asked first. Default: a question on a terminal, yes in a script.',
      allowNo: true,
    }),
  };

  async run(): Promise<SetupJson> {
    const { args, flags } = await this.parse(ChapSetup);
    const found = await this.holders({ args, flags }, { make: true });
    const { holderPath, isNode, nameOf, saveCredentials, storedCredentials } = await import(
      '../../services/records/credentials.js'
    );
    const [first] = found.holders;
    if (first === undefined) throw new Error('a choice has at least one record');
    const { newCredentials } = await import('../../cli/chap-questions.js');
    const pair = await newCredentials({
      whose: isNode(first) ? first.ref.targetName : nameOf(first),
      current: storedCredentials(first, found.config).credentials,
      flags,
      prompts: this.prompts,
      warn: (text) => this.warning(text),
    });
    const trials = await this.#try(found, pair, flags.test);
    await saveCredentials(this.paths, found.holders, pair, this.abortSignal);
    const records = found.holders.map((holder) => ({ ...holderJson(holder), path: holderPath(this.paths, holder) }));
    for (const { path } of records) this.render(`Saved to ${path} (mode 0600)`);
    if (isNode(first)) this.next(`lunctl login ${first.ref.targetName}`);
    else this.next(`lunctl discovery sendtargets -p ${formatAddress(first.portal)}`);
    return { records, user: pair.user, mutualUser: pair.mutual?.user ?? null, trials };
  }

  /** Asks every portal. @throws AppError why the credentials are not to be stored */
  async #try(
    { holders, config }: Holders,
    pair: CredentialPair,
    test: boolean | undefined,
  ): Promise<SetupJson['trials']> {
    if (!(test ?? (await askYesNo(this.prompts, 'Try it now?', true)))) return [];
    const { tryHolders } = await import('../../services/records/try-credentials.js');
    const initiatorName = await this.initiatorName();
    const wishes = { initiatorName, pair, config, timeoutMs: this.timeoutMs, signal: this.abortSignal };
    const tried = await this.waiting('logging in', () => tryHolders(holders, wishes));
    for (const { holder, outcome } of tried) {
      if (!(outcome instanceof AppError)) this.render(acceptedText(holder, outcome));
      else this.remark(outcome.message);
    }
    const objection = objectionOf(tried);
    if (objection !== null) await this.#insist(objection);
    return tried.map(({ holder, outcome }) => trialJson(holder, outcome));
  }

  async #insist(objection: AppError): Promise<void> {
    if (this.interactive && (await askYesNo(this.prompts, 'Save it all the same?', false))) return;
    throw new AppError(objection.code, `nothing was stored: ${objection.message}`, {
      cause: objection,
      hint: 'lunctl chap setup --no-test stores credentials without asking the target',
    });
  }
}

/** Portals that cannot be reached do not matter while another has accepted. */
function objectionOf(tried: readonly TriedHolder[]): AppError | null {
  const failures = tried.flatMap(({ outcome }) => (outcome instanceof AppError ? [outcome] : []));
  const answered = failures.find(({ code }) => !UNREACHED.includes(code));
  return answered ?? (failures.length === tried.length ? (failures[0] ?? null) : null);
}
const UNREACHED: readonly ErrorCode[] = ['ERR_CONNECT', 'ERR_TRANSPORT', 'ERR_TIMEOUT'];
