// The control socket of a session worker and of `serve`: one JSON object a line, asked and answered in order.
// Request {"op": NAME, "params": {…}}, answer {"result": …} or {"error": {"code", "message", "hint"}}.
import { connect, createServer, type Socket } from 'node:net';
import { AppError, ERROR_CODES, type ErrorCode, messageOf, ProtocolError } from '../util/errors.js';
import { linesOf } from './lines.js';
import { bounded } from './timers.js';
import { bindPrivately, checkPrivateFolder, checkSocketPath } from './unix-path.js';

/** Longest request, bytes with its newline, unless both ends agree on another bound. */
export const LONGEST_REQUEST = 65_536;
/** Longest answer: the description of a session with thousands of LUNs. */
export const LONGEST_ANSWER = 16_777_216;
/** How long a client may take over one line, and over reading an answer. */
const IDLE_MS = 10_000;
const DISMISS_MS = 1000;
const MOST_CLIENTS = 64;

/**
 * One operation: parsed parameters in, anything that JSON can say out. It throws AppError to refuse. `gone` is aborted
 * when the client leaves, or says that nothing more comes, before it is answered: for what is to be undone then.
 */
export type ControlHandler = (params: Readonly<Record<string, unknown>>, gone: AbortSignal) => unknown;

export interface ControlServer {
  readonly path: string;
  /** Stops listening, removes the socket and drops every client. */
  close(): Promise<void>;
}

export interface CallOptions {
  readonly timeoutMs: number;
  /** Default LONGEST_REQUEST. */
  readonly longestRequest?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Serves `handlers` on a unix socket that only this user can open. Requests of one client are answered one after
 * another; clients do not wait for each other. A client that sends anything but requests is told so and dropped.
 */
export async function serveControl(
  path: string,
  handlers: Readonly<Record<string, ControlHandler>>,
  { longestRequest = LONGEST_REQUEST } = {},
): Promise<ControlServer> {
  await checkPrivateFolder(path);
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    clients.add(socket);
    socket.on('close', () => clients.delete(socket));
    socket.on('error', () => {});
    void serveClient(socket, handlers, longestRequest).finally(() => dismiss(socket));
  });
  server.maxConnections = MOST_CLIENTS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    bindPrivately(path, () => server.listen(path, resolve));
  });
  server.removeAllListeners('error').on('error', () => {});
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const client of clients) client.destroySoon();
    await bounded(closed, {
      timeoutMs: 1000,
      onTimeout: () => new AppError('ERR_TIMEOUT', 'control clients linger'),
    }).catch(() => {
      for (const client of clients) client.destroy();
    });
  };
  return { path, close };
}

/** Nobody is behind the socket, or has gone before the answer: not what a server answered. */
export class ServerGone extends AppError {
  constructor(message: string, cause?: unknown) {
    super('ERR_NOT_CONNECTED', message, { cause });
  }
}

/**
 * Asks `op` of the server behind `path` and returns its answer. Throws what the server refused with, ERR_NOT_CONNECTED
 * if nobody listens, ERR_TIMEOUT, ERR_INTERRUPTED, or ProtocolError for an answer that is none.
 */
export async function callControl(path: string, op: string, params: object, options: CallOptions): Promise<unknown> {
  checkSocketPath(path);
  await checkPrivateFolder(path).catch((error: unknown) => {
    if (!(error instanceof AppError) || error.code !== 'ERR_NOT_FOUND') throw error;
    throw new ServerGone(`nobody answers on ${path}: ${error.message}`, error);
  });
  const request = `${JSON.stringify({ op, params })}\n`;
  if (Buffer.byteLength(request) > (options.longestRequest ?? LONGEST_REQUEST))
    throw new AppError('ERR_USAGE', `request ${op} is too long`);
  const socket = connect(path);
  socket.on('error', () => {});
  try {
    return await bounded(exchange(socket, path, request), {
      ...options,
      onTimeout: () => new AppError('ERR_TIMEOUT', `no answer to ${op} on ${path} within ${options.timeoutMs} ms`),
    });
  } finally {
    socket.destroy();
  }
}

async function exchange(socket: Socket, path: string, request: string): Promise<unknown> {
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) => {
      reject(new ServerGone(`nobody answers on ${path}: ${messageOf(cause)}`, cause));
    });
  });
  socket.write(request);
  try {
    for await (const line of linesOf(socket, LONGEST_ANSWER)) return readAnswer(line, path);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new ServerGone(`${path} broke off: ${messageOf(cause)}`, cause);
  }
  throw new ServerGone(`${path} closed without an answer`);
}

function readAnswer(line: string, path: string): unknown {
  const answer = parseObject(line);
  if (answer === null) throw new ProtocolError('control socket', `${path} answered with something that is no answer`);
  const { error } = answer;
  if (error === undefined) return answer.result;
  if (typeof error !== 'object' || error === null)
    throw new ProtocolError('control socket', `${path} sent an unknown error`);
  throw errorFromJson(error as Record<string, unknown>);
}

async function serveClient(
  socket: Socket,
  handlers: Readonly<Record<string, ControlHandler>>,
  longestRequest: number,
): Promise<void> {
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  try {
    for await (const line of linesOf(socket, longestRequest)) {
      // The operation itself has bounds of its own.
      socket.setTimeout(0);
      const answer = await whileThere(socket, (gone) => answerTo(line, handlers, gone));
      socket.setTimeout(IDLE_MS);
      if (!socket.writable) return;
      const taken = socket.write(`${JSON.stringify(answer)}\n`);
      if ('fatal' in answer) return;
      // A client that asks and never reads must not fill our memory: the next question waits, and its time runs.
      if (!taken) await drained(socket);
    }
  } catch (error) {
    // Too long a line, or a client that went away.
    if (socket.writable) socket.write(`${JSON.stringify({ error: errorToJson(error) })}\n`);
  }
}

/** Nothing is read while an operation runs; that the stream has ended shows all the same: readable, with nothing to read. */
async function whileThere<T>(socket: Socket, work: (gone: AbortSignal) => Promise<T>): Promise<T> {
  const gone = new AbortController();
  const leave = () => gone.abort(new AppError('ERR_INTERRUPTED', 'interrupted: whoever asked has gone'));
  const look = () => {
    if (socket.readableLength === 0) leave();
  };
  socket.on('readable', look).on('close', leave);
  try {
    return await work(gone.signal);
  } finally {
    socket.off('readable', look).off('close', leave);
  }
}

/** Settles once all has been written, or the client is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed || !socket.writableNeedDrain) return resolve();
    socket.once('drain', resolve).once('close', resolve);
  });
}

/** Closing with unread bytes would take our last answer back; so what still comes is thrown away for a moment. */
function dismiss(socket: Socket): void {
  setTimeout(() => socket.destroy(), DISMISS_MS).unref();
  socket.end();
  socket.resume();
}

async function answerTo(
  line: string,
  handlers: Readonly<Record<string, ControlHandler>>,
  gone: AbortSignal,
): Promise<object> {
  const request = parseObject(line);
  const op = request?.op;
  if (request === null || typeof op !== 'string') {
    return { error: errorToJson(new AppError('ERR_USAGE', 'not a request')), fatal: true };
  }
  const handler = Object.hasOwn(handlers, op) ? handlers[op] : undefined;
  const { params = {} } = request;
  if (handler === undefined || typeof params !== 'object' || params === null || Array.isArray(params)) {
    return {
      error: errorToJson(new AppError('ERR_NOT_SUPPORTED', `unknown operation ${JSON.stringify(op.slice(0, 64))}`)),
    };
  }
  try {
    return { result: (await handler(params as Record<string, unknown>, gone)) ?? null };
  } catch (error) {
    return { error: errorToJson(error) };
  }
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** An error as it crosses a process border. */
export interface ErrorJson {
  code: ErrorCode;
  message: string;
  hint?: string;
  fault?: string;
}

/** Anything thrown as plain values; what is no AppError becomes ERR_INTERNAL. */
export function errorToJson(error: unknown): ErrorJson {
  if (!(error instanceof AppError)) return { code: 'ERR_INTERNAL', message: messageOf(error) };
  const { code, message, hint, fault } = error;
  return { code, message, ...(hint === undefined ? {} : { hint }), ...(fault === null ? {} : { fault }) };
}

/** The error that `errorToJson` described. Unknown codes, from another version, become ERR_UNKNOWN. */
export function errorFromJson(json: Readonly<Record<string, unknown>>): AppError {
  const code = ERROR_CODES.find((known) => known === json.code) ?? 'ERR_UNKNOWN';
  const message = typeof json.message === 'string' ? json.message : 'unknown error';
  const { hint, fault } = json;
  return new AppError(code, message, {
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof fault === 'string' ? { fault } : {}),
  });
}
