// The `nbd` backstore: a user-space object with `config: nbd/URI`. Joins NBD client cores to sockets.
import { anyRange } from '../../../block/aligned.js';
import { NbdClientConnection, type NbdClientLimits } from '../../../nbd/client/connection.js';
import {
  type NbdDevice,
  type NbdDeviceHost,
  type NbdEvent,
  type NbdEvents,
  openNbdDevice,
} from '../../../nbd/client/device.js';
import { type NbdUri, parseNbdUri } from '../../../nbd/client/uri.js';
import type { UserObject } from '../../../saveconfig/model.js';
import { LIMITS } from '../../../target/limits.js';
import { now } from '../../../transport/clock.js';
import { connectTcp, connectUnix } from '../../../transport/connect.js';
import { delay } from '../../../transport/timers.js';
import type { TlsConnector } from '../../../transport/tls-connector.js';
import type { Wire } from '../../../transport/wire.js';
import { AppError, messageOf } from '../../../util/errors.js';
import { BufferPool } from '../../../util/ref-buffer.js';
import type { Backstore, OpenOptions } from './backstore.js';
import { pathSerial } from './file.js';
import { checkSize } from './sizes.js';

const HANDLER = 'nbd/';
const CONNECT_MS = 5000;

export interface NbdBackstoreOptions extends OpenOptions {
  readonly limits?: Partial<NbdClientLimits>;
  readonly patienceMs?: number;
  onNbdEvent?(event: NbdEvent): void;
}

/** @throws AppError: the URI, the connection, or the export cannot be used */
export async function openNbd(object: UserObject, options: NbdBackstoreOptions): Promise<Backstore> {
  if (!object.config.startsWith(HANDLER)) {
    throw new AppError('ERR_NOT_SUPPORTED', `${object.config}: only the handler nbd is served (nbd/URI)`);
  }
  const text = object.config.slice(HANDLER.length);
  const uri = parseNbdUri(text);
  const link = new NbdLink(uri, await connectorOf(uri), options);
  const wish = object.attributes.block_size;
  const device = await openNbdDevice({
    host: link,
    readOnly: options.readOnly ?? false,
    blockSize: wish === 512 || wish === 4096 ? wish : null,
    ...(options.patienceMs !== undefined && { patienceMs: options.patienceMs }),
  });
  if (device.sizeBytes < object.size) {
    await device.close();
    throw new AppError('ERR_USAGE', `the export has ${device.sizeBytes} bytes, not ${object.size}`);
  }
  return {
    object,
    name: object.name,
    path: null,
    serial: object.wwn ?? pathSerial(`user/${object.name}`, text),
    // Transfers of the target are as large as this; one that the server takes only in parts is cut here.
    device: device.maxTransfer < LIMITS.chunk ? anyRange(device) : device,
    created: false,
    refreshSize: () => device.refreshSize(),
    grow: (sizeBytes) => grow(device, sizeBytes),
    close: () => device.close(),
  };
}

async function grow(device: NbdDevice, sizeBytes: number): Promise<number> {
  checkSize(sizeBytes, device.blockSize);
  const present = await device.refreshSize();
  if (sizeBytes < present) throw new AppError('ERR_USAGE', `a disk of ${present} bytes never shrinks`);
  if (sizeBytes > present) {
    throw new AppError('ERR_NOT_SUPPORTED', `the export has ${present} bytes: make it larger at its server first`);
  }
  return present;
}

async function connectorOf({ tls, address }: NbdUri): Promise<TlsConnector | null> {
  if (tls === null) return null;
  const { certificateConnector, pskConnector } = await import('../../tls-files.js');
  if (tls.pskFile !== null) return await pskConnector(tls.pskFile, tls.identity);
  return await certificateConnector(
    tls.certificates ?? '',
    tls.hostname ?? ('host' in address ? address.host : 'localhost'),
  );
}

/** Makes the connections of one device. */
class NbdLink implements NbdDeviceHost {
  readonly #uri: NbdUri;
  readonly #tls: TlsConnector | null;
  readonly #options: NbdBackstoreOptions;
  readonly #pool: BufferPool;
  readonly now = now;
  readonly delay = delay;

  constructor(uri: NbdUri, tls: TlsConnector | null, options: NbdBackstoreOptions) {
    this.#uri = uri;
    this.#tls = tls;
    this.#options = options;
    this.#pool = options.pool ?? new BufferPool();
  }
  onChange(event: NbdEvent): void {
    this.#options.onNbdEvent?.(event);
  }

  async connect(device: NbdEvents): Promise<NbdClientConnection> {
    const { address, exportName } = this.#uri;
    const how = { timeoutMs: CONNECT_MS, plain: this.#tls !== null };
    const wire = 'path' in address ? await connectUnix(address.path, how) : await connectTcp(address, how);
    return await new Promise((resolve, reject) => {
      const core: NbdClientConnection = new NbdClientConnection({
        exportName,
        tls: this.#tls !== null,
        sink: wire.sink,
        pool: this.#pool,
        ...(this.#options.limits && { limits: this.#options.limits }),
        host: {
          now,
          startTls: () => void this.#startTls(wire, core),
          opened: () => resolve(core),
          ready: () => device.ready(),
          wake: () => wire.wake(),
          end: () => wire.end(),
          lost: (error) => {
            reject(
              error ?? new AppError('ERR_CONNECT', 'the NBD server has closed the connection', { retriable: true }),
            );
            device.lost(core, error);
          },
        },
      });
      wire.attach(core, {
        timed: [core],
        onClose: (error) => {
          // What has not left yet must not: a server that still reads would carry out what has been called failed.
          if (error !== null) wire.drop();
          core.closed(error);
        },
      });
    });
  }

  /** A failure has been reported by `onClose` by then. */
  async #startTls(wire: Wire, core: NbdClientConnection): Promise<void> {
    try {
      await wire.replaceSocket((socket) => this.#tls?.connect(socket) ?? Promise.reject(new Error('no TLS')));
      if (wire.closed) return;
      core.secured();
      wire.wake();
    } catch (error) {
      wire.destroy(
        error instanceof AppError ? error : new AppError('ERR_INTERNAL', messageOf(error), { cause: error }),
      );
    }
  }
}
