// Our target before a crowd: what strangers and slow readers cost it in memory and in time for the others, read in a process of its own.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { commandPdu, dataOutPdu, loginPdu, normalLogin, pingPdu } from '../helpers/raw-initiator.js';
import { connect } from './initiator.js';
import { count, figure } from './rig.js';

/** Connections that never log in; sessions that read nothing. The long forms: 1000 and 256. */
const STRANGERS = count('CROWD_STRANGERS', 200);
const SESSIONS = count('CROWD_SESSIONS', 32);
const TARGET = 'iqn.2022-08.com.test:own01';
const MIB = 2 ** 20;
const KEYS: [string, string][] = [
  ['InitialR2T', 'No'],
  ['MaxRecvDataSegmentLength', '262144'],
  ['MaxOutstandingR2T', '16'],
];

class OwnProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  port = 0;
  /** What a login takes with nobody else there, in milliseconds. */
  quietLogin = 0;
  constructor() {
    const script = fileURLToPath(new URL('../helpers/serve-and-wait.ts', import.meta.url));
    this.#child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout ?? assert.fail() })[Symbol.asyncIterator]();
  }
  async start(): Promise<void> {
    this.port = Number((await this.#lines.next()).value);
    // The first login loads what every login needs.
    this.quietLogin = await quickestLogin(this.port);
  }
  /** Resident memory in bytes. */
  async rss(): Promise<number> {
    this.#child.stdin?.write('\n');
    return (JSON.parse((await this.#lines.next()).value) as NodeJS.MemoryUsage).rss;
  }
  /** The same, once it grows no more. */
  async settledRss(): Promise<number> {
    for (let before = 0, tries = 0; ; tries++) {
      const rss = await this.rss();
      if (Math.abs(rss - before) < MIB || tries === 40) return rss;
      before = rss;
      await delay(250);
    }
  }
  async stop(): Promise<void> {
    const gone = once(this.#child, 'close');
    this.#child.stdin?.end();
    await gone;
  }
}

/** The quickest of five: what a busy machine adds is not the crowd's doing. */
async function quickestLogin(port: number): Promise<number> {
  let quickest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    const initiator = await connect(port, { targetName: TARGET });
    quickest = Math.min(quickest, performance.now() - began);
    await initiator.close();
  }
  return quickest;
}

describe('our target before', () => {
  let target: OwnProcess | undefined;
  const sockets = new Set<Socket>();
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await target?.stop();
  });
  const open = async (): Promise<Socket> => {
    const socket = connectSocket(target?.port ?? 0, '127.0.0.1').on('error', () => {});
    sockets.add(socket);
    await once(socket, 'connect');
    return socket;
  };
  const leave = async () => {
    const gone = [...sockets].map((socket) => (socket.destroyed ? null : once(socket, 'close')));
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await Promise.all(gone);
  };
  const restart = async (): Promise<OwnProcess> => {
    await target?.stop();
    target = new OwnProcess();
    await target.start();
    return target;
  };

  it(`${STRANGERS} slow or silent connections from one address: a login within a second, and at most 64 MiB`, async () => {
    const own = await restart();
    const idle = await own.rss();
    const login = loginPdu(normalLogin('iqn.2022-08.com.test:slow', TARGET), { csg: 0, transit: false });
    const timers: NodeJS.Timeout[] = [];
    try {
      for (let i = 0; i < STRANGERS; i++) {
        const socket = (await open()).resume();
        // Silent; a byte now and then; stopped within the login request; and stopped after it.
        if (i % 4 === 1) timers.push(setInterval(() => socket.write(login.subarray(0, 1)), 100));
        if (i % 4 === 2) socket.write(login.subarray(0, 60));
        if (i % 4 === 3) socket.write(login);
      }
      const took = await quickestLogin(own.port);
      const grown = ((await own.rss()) - idle) / MIB;
      figure('G13', `${STRANGERS} slow connections: login in ${Math.round(took)} ms, ${Math.round(grown)} MiB more`);
      assert.ok(took < 1000 + 4 * own.quietLogin, `${took} ms`);
      assert.ok(grown <= 64, `${grown} MiB`);
    } finally {
      for (const timer of timers) clearInterval(timer);
      await leave();
    }
  });

  const floods: [string, (socket: Socket) => void][] = [
    [
      'ask to read',
      (socket) => {
        for (let i = 1; i <= 64; i++) {
          socket.write(commandPdu('28 00 00000000 00 4000 00', { itt: i, cmdSn: i, read: 8 * MIB }));
        }
      },
    ],
    [
      'send pings with data',
      (socket) => {
        for (let i = 1; i <= 20; i++) socket.write(pingPdu(i, 1, Buffer.alloc(262_144)));
      },
    ],
    [
      'begin writes of full bursts and do not end them',
      (socket) => {
        for (let i = 1; i <= 64; i++) {
          const write = { itt: i, cmdSn: i, write: 8 * MIB, final: false, data: Buffer.alloc(8192) };
          socket.write(commandPdu('2a 00 00000000 00 4000 00', write));
          socket.write(dataOutPdu(i, 0xffffffff, 0, 8192, Buffer.alloc(49_152), false));
        }
      },
    ],
  ];
  for (const [what, flood] of floods) {
    it(`${SESSIONS} sessions that ${what} and read nothing: bounded memory, and others are served`, async () => {
      const own = await restart();
      const idle = await own.rss();
      for (let i = 0; i < SESSIONS; i++) {
        const socket = await open();
        const isid = Buffer.from([0x80, 0, 0, i, 0, 0]);
        socket.write(loginPdu(normalLogin(`iqn.2022-08.com.test:i${i >> 3}`, TARGET, KEYS), { isid }));
        await once(socket, 'data');
        socket.pause();
        flood(socket);
      }
      // One more than the limit has no session: the last of them makes room.
      if (SESSIONS >= 256) [...sockets].at(-1)?.destroy();
      const grown = ((await own.settledRss()) - idle) / MIB;
      const took = await quickestLogin(own.port);
      figure(
        'G13',
        `${SESSIONS} sessions that ${what} and read nothing: ${Math.round(grown)} MiB more, login in ${Math.round(took)} ms`,
      );
      // 64 MiB of data for all, and for each its buffers (256 KiB to receive, 256 KiB for headers) and the last PDU that came.
      assert.ok(grown <= 96 + SESSIONS * 0.875, `${grown} MiB`);
      assert.ok(took < 1000 + 4 * own.quietLogin, `${took} ms`);
      await leave();
    });
  }
});
