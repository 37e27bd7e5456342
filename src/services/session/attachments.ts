// Device nodes made of a session's LUNs, and the rule that a LUN has one writer (SBC has no lock that would help).
import { checkInterrupted } from '../../disk/run.js';
import { AppError, messageOf } from '../../util/errors.js';
import { attachDevice } from '../attach/attach.js';
import type { Attachment } from '../attach/attachment.js';
import type { ExportServer } from '../export-server.js';
import type { SessionClients } from './clients.js';
import { claimName, dropClaim, writeClaim } from './disk-claims.js';
import type { ExportedLun, SessionExports } from './exports.js';
import { type OwnerProcess, ourselves, type SessionFolder } from './folder.js';
import { dropLinks, type LinkOwner, putLinks } from './links.js';
import type { SessionLog } from './log.js';
import { type Candidate, claimDisk } from './second-path.js';

export interface SessionAttachmentsOptions {
  readonly sid: number;
  readonly folder: SessionFolder;
  readonly runDir: string;
  /** Under whose name the devices are linked. */
  readonly owner: LinkOwner;
  readonly exports: SessionExports;
  readonly log: SessionLog;
  readonly readOnly: boolean;
  /** NBD connections of a kernel device. */
  readonly connections: number;
  readonly shared: boolean;
  readonly clients: SessionClients;
  /** The socket for attach helpers, made when it is first needed. */
  attachServer(): Promise<ExportServer>;
}

/** How one device is to be, where that differs from the others of the session. */
export interface DeviceWishes {
  readonly readOnly?: boolean;
  /** NBD connections of a kernel device, 1 to 4. */
  readonly connections?: number;
}

/** What a disk command is let in with. */
export interface DiskHold {
  /** The NBD socket for it. */
  readonly path: string;
  readonly hold: number;
}

export class SessionAttachments {
  readonly #options: SessionAttachmentsOptions;
  readonly #attached = new Map<ExportedLun, Attachment>();
  /** What is being attached: the session does not end before it is undone. */
  readonly #underWay = new Set<Promise<void>>();
  readonly #ending = new AbortController();

  constructor(options: SessionAttachmentsOptions) {
    this.#options = options;
  }

  /** Attaches every LUN, one after another so that device names follow LUN numbers; a second path to a disk is left out. */
  async attachAll(
    mode: 'nbd' | 'fuse',
    { signal, onProgress }: { readonly signal: AbortSignal; onProgress(line: string): void },
  ): Promise<void> {
    for (const entry of this.#options.exports.luns) {
      const rival = await this.#claim(entry, signal);
      if (rival !== null) {
        entry.note = `not attached: ${rival}`;
        continue;
      }
      onProgress(`attaching ${entry.name}`);
      await this.#attach(entry, mode, signal);
    }
  }

  /**
   * Makes a device node. Throws ERR_BUSY if there is one, also by another path to the disk, or if NBD clients use the LUN,
   * unless sharing is allowed.
   */
  async attach(
    entry: ExportedLun,
    mode: 'nbd' | 'fuse',
    signal?: AbortSignal,
    wishes: DeviceWishes = {},
  ): Promise<void> {
    if (entry.attach !== 'none') throw new AppError('ERR_BUSY', `${entry.name} is attached as ${entry.path}`);
    const rival = await this.#claim(entry, signal);
    if (rival !== null) throw new AppError('ERR_BUSY', `${entry.name} is not attached: ${rival}`);
    await this.#attach(entry, mode, signal, wishes);
    entry.note = null;
  }

  /** Why the LUN must not get a device: the disk is used by another path. Null once it is claimed for ours. */
  async #claim(entry: ExportedLun, signal: AbortSignal | undefined): Promise<string | null> {
    const { runDir, shared } = this.#options;
    const claim = () => this.#writeClaim(entry, 'being attached');
    const rival = await claimDisk(runDir, this.#candidate(entry), { shared, signal }, claim);
    if (rival !== null) this.#dropClaim(entry);
    return rival;
  }

  #candidate({ lun }: ExportedLun): Candidate {
    const { sid, owner } = this.#options;
    return { sid, targetName: owner.targetName, info: lun.info };
  }

  #writeClaim({ lun }: ExportedLun, use: string): void {
    const { folder, owner } = this.#options;
    const { designator, lun: number } = lun.info;
    const claim = { targetName: owner.targetName, lun: number, designator, use };
    writeClaim(folder.path, claimName(number), claim, ourselves());
  }

  #dropClaim({ lun }: ExportedLun): void {
    dropClaim(this.#options.folder.path, claimName(lun.info.lun));
  }

  async #attach(
    entry: ExportedLun,
    mode: 'nbd' | 'fuse',
    signal?: AbortSignal,
    wishes: DeviceWishes = {},
  ): Promise<void> {
    const stop = AbortSignal.any([this.#ending.signal, ...(signal === undefined ? [] : [signal])]);
    const work = this.#make(entry, mode, stop, wishes);
    this.#underWay.add(work);
    try {
      await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  async #make(entry: ExportedLun, mode: 'nbd' | 'fuse', signal: AbortSignal, wishes: DeviceWishes): Promise<void> {
    const { folder, connections, log } = this.#options;
    const readOnly = this.#options.readOnly || wishes.readOnly === true || entry.lun.readOnly;
    try {
      await this.#refuseOtherClients(entry);
      // From here on other clients are read-only.
      entry.attach = mode;
      const server = await this.#options.attachServer();
      const attachment = await attachDevice({
        mode,
        socketPath: server.path,
        exportName: entry.name,
        sizeBytes: entry.lun.sizeBytes,
        blockSize: entry.lun.blockSize,
        readOnly,
        runDir: folder.path,
        connections: wishes.connections ?? connections,
        signal,
      });
      this.#attached.set(entry, attachment);
      entry.path = attachment.path;
      entry.readOnlyDevice = readOnly;
      this.#writeClaim(entry, `attached as ${attachment.path}`);
      await this.#link(entry, attachment.path, await attachment.partitions());
      checkInterrupted(signal);
      log.info(`${entry.name} attached as ${attachment.path}`);
      void attachment.lost.then((reason) => this.#lost(entry, attachment, reason));
    } catch (error) {
      const made = this.#attached.get(entry);
      await made?.detach({ force: true }).catch((left: unknown) => log.error(`${made.path} stays: ${messageOf(left)}`));
      await this.#forget(entry);
      throw error;
    }
  }

  /** Takes the device node away; throws ERR_BUSY while it is used. Nothing happens where there is none. */
  async detach(entry: ExportedLun, options: { readonly force?: boolean } = {}): Promise<void> {
    const attachment = this.#attached.get(entry);
    if (attachment === undefined) return;
    await attachment.detach(options);
    await this.#forget(entry);
    this.#options.log.info(`${entry.name} detached from ${attachment.path}`);
  }

  /** Makes the kernel read the partition table again. */
  async rescan(entry: ExportedLun): Promise<void> {
    const attachment = this.#attached.get(entry);
    if (attachment !== undefined) await this.#link(entry, attachment.path, await attachment.rescan());
  }

  /** Gives the device the size of its LUN, which has grown. Throws ERR_NOT_SUPPORTED where only attaching again does. */
  async grow(entry: ExportedLun): Promise<void> {
    const attachment = this.#attached.get(entry);
    if (attachment === undefined) return;
    await this.#link(entry, attachment.path, await attachment.grow(entry.lun.sizeBytes));
  }

  /**
   * Lets a disk command in that works on an export of `entry` without a device: the socket for it, and the number by
   * which it is released. Throws ERR_BUSY if somebody else writes to the same disk, here or by another path.
   */
  async admitCommand(entry: ExportedLun, exportName: string, command: OwnerProcess): Promise<DiskHold> {
    const { clients, folder, owner, runDir, shared } = this.#options;
    if (entry.attach !== 'none') throw new AppError('ERR_BUSY', `${entry.name} has been attached as ${entry.path}`);
    await clients.refuseHelpers(exportName);
    const { designator, lun } = entry.lun.info;
    const hold = clients.hold(exportName, command);
    try {
      const claim = { targetName: owner.targetName, lun, designator, use: 'worked on by a disk command' };
      const write = () => writeClaim(folder.path, claimName(lun, hold), claim, command);
      const rival = await claimDisk(runDir, this.#candidate(entry), { shared }, write);
      if (rival !== null) throw new AppError('ERR_BUSY', `${entry.name} is in use: ${rival}; nothing was changed`);
      return { path: (await this.#options.attachServer()).path, hold };
    } catch (error) {
      this.releaseCommand(entry, hold);
      throw error;
    }
  }

  releaseCommand({ lun }: ExportedLun, hold: number): void {
    this.#options.clients.release(hold);
    dropClaim(this.#options.folder.path, claimName(lun.info.lun, hold));
  }

  /** Who uses the LUN's device or one of its partitions, in words; null without a device or a user. */
  async inUse(entry: ExportedLun): Promise<string | null> {
    return (await this.#attached.get(entry)?.inUse()) ?? null;
  }

  /** Throws ERR_BUSY if any device or partition is mounted or held. */
  async refuseIfUsed(): Promise<void> {
    for (const attachment of this.#attached.values()) {
      const use = await attachment.inUse();
      if (use !== null) {
        throw new AppError('ERR_BUSY', `cannot log out: ${use}`, { hint: 'unmount it first: lunctl disk unmount' });
      }
    }
  }

  /** Unmounts the file systems on all devices, or writes back those that are busy; for a session that ends in any case. */
  async unmountAll(timeoutMs: number): Promise<void> {
    const { log } = this.#options;
    const work = [...this.#attached].map(async ([{ name }, attachment]) => {
      if ((await attachment.inUse()) === null) return;
      const { unmountDevice } = await import('../attach/unmount.js');
      for (const line of await unmountDevice(attachment.path, timeoutMs)) log.warn(`${name}: ${line}`);
    });
    await Promise.all(work);
  }

  /** Whether a device is still there, or half there. */
  get anyLeft(): boolean {
    return this.#attached.size > 0 || this.#underWay.size > 0;
  }

  /** Takes every device away, whoever uses it, for good: no other is made. Failures are logged. */
  async detachAll(): Promise<void> {
    this.#ending.abort(new AppError('ERR_NOT_CONNECTED', 'the session is ending'));
    await Promise.allSettled(this.#underWay);
    const work = [...this.#attached.keys()].map(async (entry) => {
      await this.detach(entry, { force: true }).catch((error: unknown) => {
        this.#options.log.error(`${entry.name} not detached: ${messageOf(error)}`);
      });
    });
    await Promise.all(work);
  }

  async #refuseOtherClients({ name }: ExportedLun): Promise<void> {
    const { clients, shared } = this.#options;
    await clients.refuseHelpers(name);
    const users = shared ? 0 : clients.writers(name);
    if (users > 0) throw new AppError('ERR_BUSY', `${name} is in use by ${users} NBD clients`);
  }

  #lost(entry: ExportedLun, attachment: Attachment, reason: AppError): void {
    if (this.#attached.get(entry) !== attachment) return;
    void this.#forget(entry);
    entry.note = reason.message;
    this.#options.log.error(`${entry.name}: ${reason.message}`);
  }

  async #forget(entry: ExportedLun): Promise<void> {
    this.#attached.delete(entry);
    entry.attach = 'none';
    entry.path = null;
    entry.readOnlyDevice = false;
    this.#dropClaim(entry);
    const { runDir, owner, log } = this.#options;
    await dropLinks(runDir, owner, entry.lun.info.lun).catch((error: unknown) =>
      log.warn(`links: ${messageOf(error)}`),
    );
  }

  /** A device without its link is still a device. */
  async #link(entry: ExportedLun, device: string, partitions: readonly string[]): Promise<void> {
    const { runDir, owner, log } = this.#options;
    await putLinks(runDir, owner, entry.lun.info.lun, { device, partitions }).catch((error: unknown) => {
      log.warn(`links of ${entry.name}: ${messageOf(error)}`);
    });
  }
}
