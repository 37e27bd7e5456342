// Outgoing connections: one try, bounded, with errors that name the address and the reason.
import { lookup } from 'node:dns/promises';
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { AppError, type ErrorCode } from '../util/errors.js';
import { now } from './clock.js';
import { ReceiveBuffers } from './receive-buffers.js';
import { type Source, sourceAddress } from './source.js';
import { bounded } from './timers.js';
import { checkSocketPath } from './unix-path.js';
import { Wire } from './wire.js';

export interface ConnectOptions {
  /** Bound of name resolution and all addresses together, milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Receive buffers that may be held by readers further on before they get copies. */
  readonly receiveBuffers?: number;
  /** The socket may be replaced by one that speaks TLS: it does not read by `onread`. Default false. */
  readonly plain?: boolean;
  /** Where a TCP connection is to come from. Default: where the kernel's routes say. */
  readonly source?: Source | undefined;
}

/** Why a connection has failed to which nobody has said anything. */
export class SilentHost extends Error {}

export interface TcpTarget {
  /** An address or a name; of a name every address is tried in turn. */
  readonly host: string;
  readonly port: number;
}

/**
 * Connects by TCP. Throws ERR_TRANSPORT for a name that does not resolve, ERR_CONNECT for refusal, no route, silence or a
 * `source` that has no such address, ERR_INTERRUPTED when `signal` aborts. Nothing is left open then.
 */
export async function connectTcp({ host, port }: TcpTarget, options: ConnectOptions): Promise<Wire> {
  const name = formatEndpoint(host, port);
  const end = now() + options.timeoutMs;
  const addresses = await resolve(host, name, options);
  let failure = new AppError('ERR_CONNECT', `cannot connect to ${name}: no address`);
  for (const [i, address] of addresses.entries()) {
    const timeoutMs = Math.max(1, (end - now()) / (addresses.length - i));
    try {
      const from = options.source === undefined ? {} : { localAddress: sourceAddress(options.source, address) };
      return await open({ host: address, port, ...from }, name, { ...options, timeoutMs });
    } catch (error) {
      if (!(error instanceof AppError) || error.code === 'ERR_INTERRUPTED') throw error;
      failure = error;
    }
  }
  throw failure;
}

/** Connects to a unix socket; the path may have 107 bytes. Errors as `connectTcp`. */
export async function connectUnix(path: string, options: ConnectOptions): Promise<Wire> {
  checkSocketPath(path);
  return open({ path }, path, options);
}

/** `host:port`, an IPv6 address in brackets. */
export function formatEndpoint(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

const NO_NAME = Object.assign(new Error('no name'), { syscall: 'getaddrinfo', code: 'ENOTFOUND' });

async function resolve(host: string, name: string, { timeoutMs, signal }: ConnectOptions): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  const unresolved = (cause?: unknown) =>
    new AppError('ERR_TRANSPORT', `cannot resolve ${host} of portal ${name}: ${reasonOf(cause)}`, {
      cause,
      hint: 'check the spelling, or give the portal as an address',
      retriable: true,
    });
  const query = lookup(host, { all: true, order: 'ipv4first' } as const).catch((cause: unknown) => {
    throw unresolved(cause);
  });
  const found = await bounded(query, { timeoutMs, signal, onTimeout: () => unresolved() });
  // An empty name resolves to nothing, and Node calls that a success.
  if (found.length === 0 || host === '') throw unresolved(NO_NAME);
  return found.map((entry) => entry.address);
}

async function open(to: NetConnectOpts, name: string, options: ConnectOptions): Promise<Wire> {
  const buffers = new ReceiveBuffers(options.receiveBuffers === undefined ? {} : { mostHeld: options.receiveBuffers });
  const onread = options.plain === true ? undefined : buffers.onread;
  const reading = onread === undefined ? {} : { onread };
  const socket = connect({ ...to, ...reading, allowHalfOpen: true, autoSelectFamily: false } as NetConnectOpts);
  // Nothing is to be read before a core is attached.
  socket.pause();
  try {
    await bounded(connected(socket, name), {
      timeoutMs: options.timeoutMs,
      signal: options.signal,
      onTimeout: () => refusal(name, `no answer within ${seconds(options.timeoutMs)}`, new SilentHost()),
    });
    return new Wire(socket, buffers, { name, plain: onread === undefined });
  } catch (error) {
    socket.on('error', () => {});
    socket.destroy();
    throw error;
  }
}

function connected(socket: Socket, name: string): Promise<void> {
  return new Promise((done, reject) => {
    const failed = (cause: Error) => reject(refusal(name, reasonOf(cause), cause));
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      done();
    });
  });
}

function refusal(name: string, reason: string, cause?: unknown): AppError {
  const code: ErrorCode = 'ERR_CONNECT';
  return new AppError(code, `cannot connect to ${name}: ${reason}`, { cause, retriable: true });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ETIMEDOUT: 'timed out',
  ECONNRESET: 'connection reset',
  EACCES: 'permission denied',
  ENOENT: 'no such socket',
  ENOTFOUND: 'name not known',
  EAI_AGAIN: 'no answer from the name server',
  EADDRNOTAVAIL: 'address not available',
};

/** The operating system's error in words. */
function reasonOf(error: unknown): string {
  if (error === undefined) return 'no answer in time';
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') return REASONS[code] ?? code;
  return String(error);
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`;
}
