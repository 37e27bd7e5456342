// Device nodes made of a session's LUNs, and the rule that a LUN has one writer (SBC has no lock that would help).
import { AppError, messageOf } from '../util/errors.js';
import { type Attachment, attachDevice } from './attach.js';
import type { ExportServer } from './export-server.js';
import type { ExportedLun, SessionExports } from './session-exports.js';
import type { SessionFolder } from './session-folder.js';
import { dropLinks, type LinkOwner, putLinks } from './session-links.js';
import type { SessionLog } from './session-log.js';
import { listSessions } from './session-registry.js';

export interface SessionAttachmentsOptions {
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
  /** The socket for any client; undefined before it listens. */
  openServer(): ExportServer | undefined;
  /** The socket for attach helpers, made when it is first needed. */
  attachServer(): Promise<ExportServer>;
}

export class SessionAttachments {
  readonly #options: SessionAttachmentsOptions;
  readonly #attached = new Map<ExportedLun, Attachment>();

  constructor(options: SessionAttachmentsOptions) {
    this.#options = options;
  }

  /** Attaches every LUN, one after another so that device names follow LUN numbers; a second path to a disk is left out. */
  async attachAll(
    mode: 'nbd' | 'fuse',
    { signal, onProgress }: { readonly signal: AbortSignal; onProgress(line: string): void },
  ): Promise<void> {
    const elsewhere = await attachedElsewhere(this.#options.runDir);
    for (const entry of this.#options.exports.luns) {
      const other = elsewhere.get(entry.lun.info.designator);
      if (other !== undefined) {
        entry.note = `second path to a disk that is attached as ${other}`;
        continue;
      }
      onProgress(`attaching ${entry.name}`);
      await this.attach(entry, mode, signal);
    }
  }

  /** Makes a device node. Throws ERR_BUSY if there is one, or if NBD clients use the LUN and sharing is not allowed. */
  async attach(entry: ExportedLun, mode: 'nbd' | 'fuse', signal?: AbortSignal): Promise<void> {
    const { folder, readOnly, connections, log } = this.#options;
    if (entry.attach !== 'none') throw new AppError('ERR_BUSY', `${entry.name} is attached as ${entry.path}`);
    this.#refuseOtherClients(entry);
    // From here on other clients are read-only.
    entry.attach = mode;
    try {
      const server = await this.#options.attachServer();
      const attachment = await attachDevice({
        mode,
        socketPath: server.path,
        exportName: entry.name,
        sizeBytes: entry.lun.sizeBytes,
        blockSize: entry.lun.blockSize,
        readOnly: readOnly || entry.lun.readOnly,
        runDir: folder.path,
        connections,
        ...(signal === undefined ? {} : { signal }),
      });
      entry.path = attachment.path;
      this.#attached.set(entry, attachment);
      await this.#link(entry, attachment.path, await attachment.partitions());
      log.info(`${entry.name} attached as ${attachment.path}`);
      void attachment.lost.then((reason) => this.#lost(entry, attachment, reason));
    } catch (error) {
      entry.attach = 'none';
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

  /** Throws ERR_BUSY if any device or partition is mounted or held. */
  async refuseIfUsed(): Promise<void> {
    for (const attachment of this.#attached.values()) {
      const use = await attachment.inUse();
      if (use !== null) {
        throw new AppError('ERR_BUSY', `cannot log out: ${use}`, { hint: 'unmount it first: lunctl disk unmount' });
      }
    }
  }

  /** Takes every device away, whoever uses it. Failures are logged. */
  async detachAll(): Promise<void> {
    const work = [...this.#attached.keys()].map(async (entry) => {
      await this.detach(entry, { force: true }).catch((error: unknown) => {
        this.#options.log.error(`${entry.name} not detached: ${messageOf(error)}`);
      });
    });
    await Promise.all(work);
  }

  #refuseOtherClients(entry: ExportedLun): void {
    if (this.#options.shared) return;
    const { name } = entry;
    const users = this.#options.openServer()?.clientsOf((used) => used === name || used.startsWith(`${name}p`)) ?? 0;
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

/** Designators of disks that other sessions have made devices of, with those devices. */
async function attachedElsewhere(runDir: string): Promise<Map<string, string>> {
  const { sessions } = await listSessions({ runDir });
  const devices = sessions.flatMap((session) => session.devices);
  return new Map(
    devices.flatMap(({ designator, path }) =>
      path === null || designator === '' ? [] : [[designator, path] as const],
    ),
  );
}
