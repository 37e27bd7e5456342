// lunctl disk provision: login, attach, label, partition, format, mount; what is so already is left out.
import { resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { credentialFlags, readCredentials } from '../../cli/credentials.js';
import { confirmFlag, DiskCommand, dryRunFlag } from '../../cli/disk-command.js';
import { portalFlag } from '../../cli/flags.js';
import { bootJson, mountedText, stepText, unchangedText } from '../../cli/render/disk.js';
import type { diskProvision } from '../../cli/schemas/disk.js';
import type { Result } from '../../cli/schemas/parts.js';
import { formatAddress } from '../../iscsi/portal.js';
import type { DiskTarget } from '../../services/disk/name.js';
import type { ProvisionResult, ProvisionStep } from '../../services/disk/provision.js';
import { PROVISION_TYPES } from '../../services/disk/provision-plan.js';
import { ATTACH_MODES } from '../../services/session/info.js';
import { isRoot } from '../../util/user.js';

const STEPS = 6;

export default class DiskProvision extends DiskCommand {
  static override summary = 'From a LUN to a mounted file system: log in, attach, label, partition, format, mount';
  static override description =
    'Every step is looked at first and left out when it is so already: a second run changes nothing, and one that was interrupted is taken up where it stopped. The disk gets a gpt label and one partition. A disk that holds something else (another file system, more partitions, a dos label) is named and left as it is (40) unless that is agreed to, by typing its name or with --confirm; one that is mounted elsewhere or held is always refused (28). What follows -- goes to the mkfs program as it is.\n\nThe login uses a record, or with --portal what that portal says. With --attach none it ends with the file system: that needs no root and no kernel module, and says how to mount.';
  static override usage = '<%= command.id %> TARGET/LUN DIR --type xfs|ext4|btrfs|vfat [-p PORTAL] [-- MKFS-ARGS…]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0 /mnt --type xfs',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0 /srv/data --type xfs -p 192.168.219.101 --mkdir --fstab -- -i size=1024 -s size=4096',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0 --type ext4 --attach none',
  ];
  static override args = {
    disk: Args.string({
      name: 'TARGET/LUN',
      required: true,
      description: 'The disk: TARGET/LUN, or, of a session that is up, also nbd0 or /dev/nbd0.',
    }),
    dir: Args.string({ name: 'DIR', description: 'The directory to mount it on.' }),
  };
  static override flags = {
    type: Flags.option({ summary: 'The file system.', options: PROVISION_TYPES, required: true })(),
    portal: portalFlag({ summary: 'Where to find the target if there is no record of it: HOST, HOST:PORT.' }),
    attach: Flags.option({
      summary: 'How the LUN becomes a device if it has none: auto is nbd.',
      options: ATTACH_MODES,
      default: 'auto',
      helpValue: 'WAY',
    })(),
    size: Flags.string({
      summary: 'Size of the partition: 10G, 500GB, 50%. Without it: the whole disk.',
      helpValue: 'SIZE',
    }),
    label: Flags.string({ summary: 'Name of the file system.', helpValue: 'NAME' }),
    mkdir: Flags.boolean({ summary: 'Make the directory if it is not there.', default: false }),
    fstab: Flags.boolean({ summary: 'Mount it at boot too; see disk mount.', default: false }),
    ...credentialFlags,
    save: Flags.boolean({ summary: 'Keep the CHAP credentials in the record.', dependsOn: ['chap-user'] }),
    ...confirmFlag,
    ...dryRunFlag,
  };

  async run(): Promise<Result<typeof diskProvision>> {
    const { own, extra } = this.splitArguments();
    const { args, flags } = await this.parse(DiskProvision, own);
    const { parseSizeSpec } = await import('../../disk/layout.js');
    const { provisionDisk } = await import('../../services/disk/provision.js');
    const { type, label, mkdir, fstab, attach } = flags;
    const credentials = await readCredentials(flags, {
      prompts: this.prompts,
      warn: (text: string) => this.warning(text),
    });
    const dryRun = flags['dry-run'];
    const total = fstab ? STEPS + 1 : STEPS;
    const result = await this.waiting(`looking at ${args.disk}`, () =>
      provisionDisk({
        paths: this.paths,
        signal: this.abortSignal,
        dev: args.disk,
        directory: args.dir === undefined ? null : resolve(args.dir),
        ...{ type, label, mkdir, fstab, attach, extra, dryRun, credentials },
        size: flags.size === undefined ? undefined : parseSizeSpec(flags.size),
        portal: flags.portal && { address: flags.portal.address, port: flags.portal.explicitPort },
        save: flags.save === true,
        strongSecrets: flags['require-strong-secret'] === true,
        timeoutMs: this.timeoutMs,
        initiatorName: () => this.initiatorName(),
        agree: (loss) => this.agreeTo(loss, flags),
        onBegin: (name) => this.nowWaitingFor(`${name} of ${args.disk}`, { afresh: true }),
        onStep: (step) => {
          if (!dryRun) this.#show(step, total);
        },
        onProgress: (text) => this.detail(text),
        onWarning: (text) => this.warning(text),
      }),
    );
    await this.#conclude(result, { dryRun, dir: args.dir, type });
    return this.#json(result, dryRun);
  }

  /** Lines of steps that were so already, until one has been done: when none is, they are told in one line. */
  #held: string[] = [];
  #done = false;
  #show(step: ProvisionStep, total: number): void {
    const line = stepText(step, total);
    if (!step.done && !this.#done) {
      this.#held.push(line);
      return;
    }
    this.#done = true;
    for (const text of [...this.#held.splice(0), line]) this.render(text);
  }

  async #conclude(
    result: ProvisionResult,
    { dryRun, dir, type }: { dryRun: boolean; dir: string | undefined; type: string },
  ) {
    const { target, steps, lines, mounted, boot } = result;
    if (dryRun) {
      this.render(lines.length === 0 ? unchangedText(steps) : lines.join('\n'));
      return;
    }
    if (!this.#done) this.render(unchangedText(steps));
    else if (mounted !== null) this.render(mountedText(mounted));
    for (const text of boot?.warnings ?? []) this.warning(text);
    if (boot?.startup?.changed) this.render(`node.startup of ${boot.startup.targetName} is now automatic`);
    if (boot?.fstab.changed) this.next('systemctl daemon-reload');
    if (mounted !== null || target === null) return;
    const words = `lunctl disk provision ${target.fullName} ${dir ?? 'DIR'} --type ${type}`;
    this.render(`to mount it: ${await this.#mountAdvice(target, words)}`);
  }

  /** Another user has another run folder: a session cannot be handed over, but everything on the disk stays done. */
  async #mountAdvice({ session }: DiskTarget, words: string): Promise<string> {
    const portal = formatAddress(session.portal);
    if (!isRoot()) return `lunctl logout ${session.targetName}; then, as root: ${words} --portal ${portal}`;
    const { planAttach } = await import('../../services/attach/attach.js');
    const hasNbd = await planAttach('nbd').then(
      () => true,
      () => false,
    );
    return `${words} --attach ${hasNbd ? 'nbd' : 'fuse'}`;
  }

  #json({ target, steps, lines, mounted, boot }: ProvisionResult, dryRun: boolean): Result<typeof diskProvision> {
    const disk = target === null ? null : this.diskJson(target);
    const changed = steps.some(({ done }) => done);
    return { disk, dryRun, plan: lines, changed, steps, mounted, ...bootJson(boot) };
  }
}
