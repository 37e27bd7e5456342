// The scripted FakeTarget behind a real TCP port: several connections, disks with an identity, restarts, and whatever a
// script makes it do to a login, a command or a PDU.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { lunOf, NO_TAG, Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { CDB_AT, commandEdtl } from '../../src/iscsi/wire/scsi-command.js';
import { emitText } from '../../src/iscsi/wire/text.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { buildReportLuns, decodeLun } from '../../src/scsi/lun.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { ScsiStatus } from '../../src/scsi/status.js';
import { FakeTarget, type FakeTargetOptions, type SeenPdu } from '../helpers/fake-target.js';
import { handOver } from '../helpers/memory-link.js';
import { FakeDisk, noUnitInquiry } from './fake-disk.js';
import { reset } from './reset.js';

export const FAKE_TARGET = 'iqn.2022-08.com.test:fake.target01';

/** A SCSI command as it reached the server. */
export interface FakeCommand {
  readonly lun: number;
  readonly op: number;
  readonly cdb: Buffer;
  readonly itt: number;
  readonly pdu: SeenPdu;
  readonly connection: FakeConnection;
}

/**
 * What a script does with a command: `serve` it by the rules, say nothing (`keep`: `connection.serve` may end it later),
 * or end it with a status.
 */
export type Reaction = 'serve' | 'keep' | { readonly status: number } | { readonly sense: Sense };

/** What a test may change while the server runs. */
export interface FakeScript {
  wishes?: FakeTargetOptions['wishes'];
  chap?: FakeTargetOptions['chap'];
  window?: FakeTargetOptions['window'];
  onLogin?: NonNullable<FakeTargetOptions['onLogin']>;
  /** Takes a PDU of full feature phase before anything else; true: it has been dealt with. */
  onPdu?: (pdu: SeenPdu, connection: FakeConnection) => boolean;
  onCommand?: (command: FakeCommand) => Reaction;
  /** A login has come to its end. */
  onLoggedIn?: (connection: FakeConnection) => void;
  /** A connection has been made; false: it gets no target, and its bytes are not read. */
  onAccept?: (socket: Socket) => boolean;
}

/** A first Login Request. */
export interface SeenLogin {
  readonly isid: string;
  readonly tsih: number;
  readonly keys: ReadonlyMap<string, string>;
  /** performance.now() */
  readonly at: number;
}

export class FakeServer {
  readonly targetName = FAKE_TARGET;
  readonly disks = new Map<number, FakeDisk>();
  readonly connections = new Set<FakeConnection>();
  readonly logins: SeenLogin[] = [];
  /** What the initiator did that it must not do. */
  readonly faults: Error[] = [];
  script: FakeScript;
  accepted = 0;
  /** Connections ended because a digest did not fit. */
  digestErrors = 0;
  #port = 0;
  #server: Server | null = null;
  readonly #sockets = new Set<Socket>();

  constructor(disks: Readonly<Record<number, FakeDisk>> = { 0: new FakeDisk() }, script: FakeScript = {}) {
    for (const [lun, disk] of Object.entries(disks)) this.disks.set(Number(lun), disk);
    this.script = script;
  }
  /** The same over restarts. */
  get port(): number {
    return this.#port;
  }
  disk(lun = 0): FakeDisk {
    const disk = this.disks.get(lun);
    if (disk === undefined) throw new Error(`the fake server has no LUN ${lun}`);
    return disk;
  }
  async start(): Promise<this> {
    const server = createServer((socket) => this.#accept(socket));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as { port: number }).port;
    this.#server = server;
    return this;
  }
  /** As if killed: connections are reset, new ones refused. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) reset(socket);
    await closed;
  }
  /** Every logged-in connection to the target. */
  get sessions(): FakeConnection[] {
    return [...this.connections].filter(({ target }) => target.params !== null);
  }
  /** The only logged-in connection. */
  get session(): FakeConnection {
    const [session, ...more] = this.sessions;
    if (session === undefined || more.length > 0) throw new Error(`${this.sessions.length} sessions, not one`);
    return session;
  }

  #accept(socket: Socket): void {
    this.accepted++;
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    if (this.script.onAccept?.(socket) === false) return;
    this.connections.add(new FakeConnection(this, socket));
  }
}

/** One connection, with a FakeTarget of its own. */
export class FakeConnection {
  readonly target: FakeTarget;
  readonly #server: FakeServer;
  readonly #socket: Socket;
  #rounds = 0;

  constructor(server: FakeServer, socket: Socket) {
    this.#server = server;
    this.#socket = socket;
    const { wishes, chap, window } = server.script;
    this.target = new FakeTarget({
      ...(wishes === undefined ? {} : { wishes }),
      ...(chap === undefined ? {} : { chap }),
      ...(window === undefined ? {} : { window }),
      tsih: server.accepted,
      diskOf: (lun) => server.disk(decodeLun(lun)).bytes,
      onLogin: (pdu, pairs, round) => {
        if (this.#rounds++ === 0) {
          const isid = pdu.isid.toString('hex');
          server.logins.push({ isid, tsih: pdu.tsih, keys: new Map(pairs), at: performance.now() });
        }
        return server.script.onLogin?.(pdu, pairs, round);
      },
      onPdu: (pdu) => this.#onPdu(pdu),
    });
    this.target.sink.onDirty = () => queueMicrotask(() => this.#flush());
    socket.on('data', (chunk) => this.#onBytes(chunk));
    socket.on('close', () => server.connections.delete(this));
  }
  get open(): boolean {
    return this.#server.connections.has(this);
  }
  /** RST. */
  reset(): void {
    reset(this.#socket);
  }
  /** FIN after what is queued. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }
  /** Stops reading, as a peer does whose machine has frozen. */
  freeze(): void {
    this.#socket.pause();
  }
  /** Bytes of the test's own making. */
  write(bytes: Buffer): void {
    this.#flush();
    this.#socket.write(bytes);
  }
  /** A command that the script kept, by the rules. */
  serve(command: Pick<FakeCommand, 'pdu'>): void {
    this.#byTheRules(command.pdu);
  }
  fail(itt: number, sense: Sense): void {
    this.target.refuse(itt, ScsiStatus.CheckCondition, buildFixedSense(sense));
  }

  #flush(): void {
    const bytes = this.target.sink.take();
    if (bytes.length > 0 && !this.#socket.destroyed) this.#socket.write(bytes);
  }
  #onBytes(chunk: Buffer): void {
    const loggedIn = this.target.params !== null;
    try {
      handOver(chunk, this.target);
    } catch (error) {
      if (/digest/.test(String(error))) this.#server.digestErrors++;
      else this.#server.faults.push(error as Error);
      this.#flush();
      this.#socket.destroy();
      return;
    }
    this.#flush();
    if (!loggedIn && this.target.params !== null) this.#server.script.onLoggedIn?.(this);
  }
  #onPdu(pdu: SeenPdu): boolean {
    if (this.#server.script.onPdu?.(pdu, this) === true) return true;
    if (pdu.opcode === Opcode.TextRequest) return this.#sendTargets(pdu);
    if (pdu.opcode !== Opcode.ScsiCommand) return false;
    const cdb = pdu.bhs.subarray(CDB_AT, CDB_AT + 16);
    const itt = tagOf(pdu.bhs);
    const command = { lun: decodeLun(lunOf(pdu.bhs)), op: cdb[0] as number, cdb, itt, pdu, connection: this };
    const reaction = this.#server.script.onCommand?.(command) ?? 'serve';
    if (reaction === 'serve') this.#byTheRules(pdu);
    else if (typeof reaction === 'object' && 'sense' in reaction) this.fail(itt, reaction.sense);
    else if (typeof reaction === 'object') this.target.refuse(itt, reaction.status);
    return true;
  }
  #byTheRules(pdu: SeenPdu): void {
    const itt = tagOf(pdu.bhs);
    const cdb = pdu.bhs.subarray(CDB_AT, CDB_AT + 16);
    const answer = this.#answer(decodeLun(lunOf(pdu.bhs)), cdb);
    if (answer === null) this.target.serve(pdu);
    else if (Buffer.isBuffer(answer)) this.#data(itt, answer, commandEdtl(pdu.bhs));
    else this.fail(itt, answer);
  }
  #answer(lun: number, cdb: Buffer): Buffer | Sense | null {
    if (cdb[0] === ScsiOp.ReportLuns) return buildReportLuns([...this.#server.disks.keys()].sort((a, b) => a - b));
    const disk = this.#server.disks.get(lun);
    if (disk === undefined) return cdb[0] === ScsiOp.Inquiry ? noUnitInquiry() : Senses.LunNotSupported;
    const answer = disk.answer(cdb);
    const transfers = cdb[0] === ScsiOp.Read16 || cdb[0] === ScsiOp.Write16;
    return answer === null && transfers && !disk.holds(cdb) ? Senses.LbaOutOfRange : answer;
  }
  /** One Data-In with the status: answers are short. */
  #data(itt: number, data: Buffer, expected: number): void {
    const bytes = data.subarray(0, expected);
    if (bytes.length === 0) {
      this.target.response(itt, ScsiStatus.Good);
      return;
    }
    const residual = expected - bytes.length;
    const flags = DataInFlag.Final | DataInFlag.Status | (residual > 0 ? DataInFlag.Underflow : 0);
    this.target.dataIn(itt, { flags, dataSn: 0, offset: 0, data: bytes, residual });
  }
  #sendTargets({ bhs }: SeenPdu): boolean {
    const { targetName, port } = this.#server;
    const data = emitText([
      ['TargetName', targetName],
      ['TargetAddress', `127.0.0.1:${port},1`],
    ]);
    this.target.textResponse(tagOf(bhs), { final: true, continues: false, ttt: NO_TAG, data });
    return true;
  }
}
