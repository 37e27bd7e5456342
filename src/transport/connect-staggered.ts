// Connecting through a network that may come back at any moment: the kernel repeats a lost SYN only after 1, 3 and 7 s, so a
// new socket tries every second beside the older ones, which a slow network may still answer.
import { now } from './clock.js';
import { type ConnectOptions, connectTcp, type TcpTarget } from './connect.js';
import type { Wire } from './wire.js';

const STAGGER_MS = 1000;

/** As `connectTcp`. The first connection wins and the first refusal counts; nothing else stays open. */
export function connectStaggered(to: TcpTarget, options: ConnectOptions): Promise<Wire> {
  const over = new AbortController();
  const { signal } = over;
  options.signal?.addEventListener('abort', () => over.abort(), { once: true, signal });
  if (options.signal?.aborted) over.abort();
  const end = now() + options.timeoutMs;
  return new Promise((resolve, reject) => {
    let settled = false;
    let timer: NodeJS.Timeout | undefined;
    const finish = (): void => {
      settled = true;
      clearInterval(timer);
      over.abort();
    };
    const start = (): void => {
      connectTcp(to, { ...options, signal, timeoutMs: Math.max(1, end - now()) }).then(
        (wire) => {
          if (settled) wire.destroy();
          else resolve(wire);
          finish();
        },
        (error: unknown) => {
          reject(error);
          finish();
        },
      );
    };
    timer = setInterval(start, STAGGER_MS);
    start();
  });
}
