// The kernel's NBD client by generic netlink. The kernel chooses the device, so there is no race for one; a size can be
// changed later; and every device carries an identifier of ours that tells it from any other of the same name.
import { getSystemErrorName } from 'node:util';
import { type ExportTerms, openExport } from '../../nbd/client/handshake.js';
import { TransmissionFlag } from '../../nbd/wire/constants.js';
import { type GenericAnswer, parseAnswers } from '../../nbd/wire/netlink.js';
import {
  emitConnect,
  emitDisconnect,
  emitGetFamily,
  emitResize,
  type NbdAddress,
  parseFamily,
  parseIndex,
} from '../../nbd/wire/netlink-nbd.js';
import { now } from '../../transport/clock.js';
import { type NativeSocket, nativeSockets, type Patience } from '../../transport/native-socket.js';
import { bounded } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import type { AttachRequest } from './attachment.js';

const HANDSHAKE_MS = 15_000;
const KERNEL_MS = 15_000;
const EPERM = 1;
const ENOENT = 2;

/**
 * A week: with several connections the kernel gives a request that waits longer than its timeout, 30 s if it is 0, to another
 * connection, and a session may need longer than that to come back. The first one would be carried out after newer ones.
 */
const SEVERAL_CONNECTIONS_S = 604_800;

/** Seconds until the kernel gives up a request on its connection; 0 is never. */
export function requestTimeoutS(connections: number): number {
  return connections > 1 ? SEVERAL_CONNECTIONS_S : 0;
}

/** The kernel by netlink; null where the optional koffi does not work. */
export async function kernelNbd(): Promise<KernelNbd | null> {
  const sockets = await nativeSockets();
  return sockets === null ? null : new KernelNbd(sockets);
}

/** What is needed of `NativeSockets`. */
export interface KernelSockets {
  netlink(): Pick<NativeSocket, 'request' | 'receive' | 'close'>;
  unix(path: string, patience: Patience): Promise<Pick<NativeSocket, 'fd' | 'write' | 'read' | 'close'>>;
}
type StreamSocket = Awaited<ReturnType<KernelSockets['unix']>>;

export class KernelNbd {
  readonly #sockets: KernelSockets;

  constructor(sockets: KernelSockets) {
    this.#sockets = sockets;
  }

  /**
   * Connects the export to a device of the kernel's choice; its number. What fails or is interrupted leaves none behind.
   * @throws AppError ERR_HELPER with the kernel's reason, ERR_DRIVER_MISSING, ERR_CONNECT, ERR_TIMEOUT, ERR_INTERRUPTED
   */
  async connect(request: AttachRequest, backend: string): Promise<number> {
    const opened: StreamSocket[] = [];
    const connected = this.#connect(request, backend, opened);
    // Their numbers must not become those of other files before the kernel has looked at them; then it has its own references.
    const settled = connected.finally(() => {
      for (const socket of opened) socket.close();
    });
    const onTimeout = () => new AppError('ERR_TIMEOUT', 'the kernel does not connect the NBD device');
    try {
      return await bounded(settled, { timeoutMs: HANDSHAKE_MS + KERNEL_MS, signal: request.signal, onTimeout });
    } catch (error) {
      // The kernel cannot be told to stop: what still comes of it is taken away again.
      await this.#bounded(connected.then((index) => this.disconnect(index))).catch(() => {});
      throw error;
    }
  }

  async #connect(request: AttachRequest, backend: string, opened: StreamSocket[]): Promise<number> {
    const terms = await this.#open(request, opened);
    const message = await this.#ask('connect a device', (to) =>
      emitConnect(to, {
        sockets: opened.map(({ fd }) => fd),
        sizeBytes: terms.sizeBytes,
        blockSize: request.blockSize,
        serverFlags: terms.flags | (request.readOnly ? TransmissionFlag.ReadOnly : 0),
        timeoutS: requestTimeoutS(opened.length),
        backend,
      }),
    );
    return parseIndex(message);
  }

  /** See `emitDisconnect`. Whose the device is has been checked by the caller. */
  async disconnect(index: number): Promise<void> {
    await this.#bounded(this.#ask(`disconnect /dev/nbd${index}`, (to) => emitDisconnect(to, index)));
  }

  /** Gives a device that was connected with `backend` another size. */
  async resize(index: number, sizeBytes: number, backend: string): Promise<void> {
    const what = `give /dev/nbd${index} the size of ${sizeBytes} bytes`;
    await this.#bounded(this.#ask(what, (to) => emitResize(to, { index, sizeBytes, backend })));
  }

  /** One connection, and as many more as are asked for where the server lets several agree. They go into `opened`. */
  async #open(request: AttachRequest, opened: StreamSocket[]): Promise<ExportTerms> {
    const patience = { deadline: now() + HANDSHAKE_MS, signal: request.signal };
    const openOne = async () => {
      const socket = await this.#sockets.unix(request.socketPath, patience);
      opened.push(socket);
      const steps = openExport(request.exportName);
      for (let step = steps.next(); ; ) {
        if (step.done) return step.value;
        await socket.write(step.value.send, patience);
        step = steps.next(await socket.read(step.value.need, patience));
      }
    };
    const terms = await openOne();
    const more = (terms.flags & TransmissionFlag.CanMultiConn) === 0 ? 0 : (request.connections ?? 1) - 1;
    for (let i = 0; i < more; i++) await openOne();
    return terms;
  }

  async #bounded(work: Promise<unknown>): Promise<void> {
    const onTimeout = () => new AppError('ERR_TIMEOUT', 'the kernel does not answer by netlink');
    await bounded(work, { timeoutMs: KERNEL_MS, onTimeout });
  }

  /** Asks the family nbd. */
  async #ask(what: string, emit: (to: NbdAddress) => Buffer): Promise<Message> {
    const socket = this.#sockets.netlink();
    try {
      const family = await exchange(socket, 1, emitGetFamily(1), 'find the nbd driver by netlink');
      return await exchange(socket, 2, emit({ family: parseFamily(family), sequence: 2 }), what);
    } finally {
      socket.close();
    }
  }
}

type Message = GenericAnswer & { kind: 'message' };
const NO_MESSAGE: Message = { kind: 'message', sequence: 0, family: 0, command: 0, attributes: new Map() };

/** The message that came before the acknowledgement, if any. */
async function exchange(
  socket: Pick<NativeSocket, 'request' | 'receive'>,
  sequence: number,
  request: Buffer,
  what: string,
): Promise<Message> {
  await socket.request(request);
  const deadline = now() + KERNEL_MS;
  for (let message = NO_MESSAGE; ; ) {
    for (const answer of parseAnswers(await socket.receive({ deadline }))) {
      if (answer.sequence !== sequence) continue;
      if (answer.kind === 'message') message = answer;
      else if (answer.errno === 0) return message;
      else throw refusal(what, answer.errno);
    }
  }
}

function refusal(what: string, errno: number): AppError {
  const message = `the kernel cannot ${what}: ${getSystemErrorName(-errno)}`;
  const hint = 'in a container the nbd of its host may be out of reach: use --attach fuse or --attach none';
  if (errno === EPERM) return new AppError('ERR_ACCESS', message, { hint });
  return errno === ENOENT ? new AppError('ERR_DRIVER_MISSING', message, { hint }) : new AppError('ERR_HELPER', message);
}
