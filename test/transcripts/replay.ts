// Replays one recording on our iscsiadm and compares. Runs in namespaces of its own, see run.ts: /etc/iscsi, /run and, but for
// LIO, the network are empty, so that paths, addresses and ports are those of the recording.
//   replay.ts RECORDING own|lio     prints one JSON line per command
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ground } from './ground.js';
import { INITIATOR } from './ground.js';
import { normalise } from './normalise.js';
import { type Answer, type RecordedCommand, readRecording } from './recording.js';
import { SCENES, type Scene } from './scenes.js';
import { Sids } from './sids.js';

/** How one command went. `ours` and `recorded` are normalised. */
export interface Comparison {
  readonly recording: string;
  readonly number: number;
  readonly line: string;
  readonly recorded: Answer;
  readonly ours: Answer;
  readonly ms: number;
}

const MOST_MS = 200_000;
const root = process.env.LUNCTL_ROOT ?? process.cwd();

/** The keys of the stock file of 2.1.8 that are in force. A record of ours would list more algorithms than MD5. */
const STOCK = `node.startup = manual
node.leading_login = No
node.session.timeo.replacement_timeout = 120
node.conn[0].timeo.login_timeout = 15
node.conn[0].timeo.logout_timeout = 15
node.conn[0].timeo.noop_out_interval = 5
node.conn[0].timeo.noop_out_timeout = 5
node.session.err_timeo.abort_timeout = 15
node.session.err_timeo.lu_reset_timeout = 30
node.session.err_timeo.tgt_reset_timeout = 30
node.session.err_timeo.host_reset_timeout = 60
node.session.initial_login_retry_max = 8
node.session.cmds_max = 128
node.session.queue_depth = 32
node.session.xmit_thread_priority = -20
node.session.iscsi.InitialR2T = No
node.session.iscsi.ImmediateData = Yes
node.session.iscsi.FirstBurstLength = 262144
node.session.iscsi.MaxBurstLength = 16776192
node.conn[0].iscsi.MaxRecvDataSegmentLength = 262144
node.conn[0].iscsi.MaxXmitDataSegmentLength = 0
discovery.sendtargets.iscsi.MaxRecvDataSegmentLength = 32768
node.session.nr_sessions = 1
node.session.reopen_max = 0
node.session.iscsi.FastAbort = Yes
node.session.scan = auto
node.session.auth.chap_algs = MD5
`;

/** A folder with `iscsiadm` in it: our program, or what LUNCTL_TRANSCRIPTS_PROGRAM names. */
function programFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'transcripts-'));
  // Some commands run as another user.
  chmodSync(folder, 0o755);
  symlinkSync(process.env.LUNCTL_TRANSCRIPTS_PROGRAM ?? join(root, 'bin/iscsiadm.js'), join(folder, 'iscsiadm'));
  return folder;
}

function bash(line: string, folder: string): Promise<Answer> {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn('timeout', [`${MOST_MS / 1000}`, 'bash', '-c', line], {
      env: { ...env, PATH: `${folder}:${env.PATH}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ stdout, stderr, exit: code ?? -1 }));
  });
}

/** What the recording's errors were made with: silent, closing at once, speaking HTTP. */
async function strangeServices(): Promise<Server[]> {
  const services = [
    { port: 3270, server: createServer((socket) => socket.on('error', () => {})) },
    { port: 3271, server: createServer((socket) => socket.on('error', () => {}).end()) },
    {
      port: 3272,
      server: createServer((socket) =>
        socket
          .on('error', () => {})
          .once('data', () => socket.end(`HTTP/1.1 400 Bad Request\r\n\r\n${' '.repeat(64)}`)),
      ),
    },
  ];
  for (const { port, server } of services) {
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
    server.unref();
  }
  return services.map(({ server }) => server);
}

function configure(scene: Scene): void {
  mkdirSync('/etc/iscsi/ifaces', { recursive: true, mode: 0o700 });
  writeFileSync('/etc/iscsi/initiatorname.iscsi', `InitiatorName=${INITIATOR}\n`, { mode: 0o600 });
  writeFileSync('/etc/iscsi/iscsid.conf', STOCK + (scene.config ?? ''));
}

class Replay {
  readonly #sids = new Sids();
  readonly #folder = programFolder();
  constructor(
    readonly name: string,
    readonly scene: Scene,
    readonly ground: Ground,
  ) {}

  async *run(commands: readonly RecordedCommand[]): AsyncGenerator<Comparison> {
    try {
      for (const command of commands) {
        await this.#hidden(command);
        if (!/\biscsiadm\b/.test(command.line)) continue;
        if (this.scene.onlyLio?.has(command.number) && this.ground.name !== 'lio') continue;
        yield await this.#compare(command);
      }
    } finally {
      await bash('iscsiadm -m node -U all', this.#folder);
      rmSync(this.#folder, { recursive: true });
    }
  }

  async #hidden({ number, line }: RecordedCommand): Promise<void> {
    for (const [at, beginning, steps] of this.scene.before ?? []) {
      if (at !== number) continue;
      if (!line.startsWith(beginning)) throw new Error(`${this.name} ${number} is ${line}, not ${beginning}`);
      for (const step of steps) await step({ ground: this.ground, run: (script) => this.#mustSucceed(script) });
    }
  }

  /** A hidden step that fails is told; the commands after it tell the rest. */
  async #mustSucceed(script: string): Promise<void> {
    const { exit, stdout, stderr } = await bash(script, this.#folder);
    if (exit !== 0) console.error(`${this.name}: hidden step ended with ${exit}: ${script}\n${stdout}${stderr}`);
  }

  async #compare(command: RecordedCommand): Promise<Comparison> {
    const { number, line } = command;
    const part = this.scene.parts?.get(number);
    const began = performance.now();
    const answer = await bash(this.#sids.command(part?.run ?? line), this.#folder);
    const ms = performance.now() - began;
    this.#sids.learn(command.stdout, answer.stdout);
    const without = (text: string): string => (part?.without === undefined ? text : text.replace(part.without, ''));
    const mapped = { ...answer, stdout: this.#sids.text(answer.stdout), stderr: this.#sids.text(answer.stderr) };
    const recorded = normalise({ ...command, stdout: without(command.stdout) });
    return { recording: this.name, number, line, recorded, ours: normalise(mapped), ms };
  }
}

const [, , name = '', groundName = 'own'] = process.argv;
const scene = SCENES.get(name);
if (scene === undefined) throw new Error(`no recording ${name}: ${[...SCENES.keys()].join(' ')}`);
const ground: Ground =
  groundName === 'lio'
    ? new (await import('./lio-ground.js')).LioGround()
    : new (await import('./own-ground.js')).OwnGround();
configure(scene);
await ground.offer(scene.targets);
const services = await strangeServices();
const commands = readRecording(join(root, 'test/transcripts/recordings', `${name}.txt`));
for await (const comparison of new Replay(name, scene, ground).run(commands)) {
  process.stdout.write(`${JSON.stringify(comparison)}\n`);
}
for (const service of services) service.close();
await ground.close();
process.exit(0);
