// A target that does what a test says: it logs in by the rules, serves a small disk, and can be told to misbehave.
import { ChapChallenges, ChapTarget, type ChapTargetOptions } from '../../src/iscsi/chap.js';
import { type NegotiationWishes, Negotiator, type OperationalParams } from '../../src/iscsi/negotiation.js';
import {
  BHS_LENGTH,
  isFinal,
  isImmediate,
  lunOf,
  NO_TAG,
  Opcode,
  opcodeOf,
  itt as tagOf,
} from '../../src/iscsi/wire/bhs.js';
import { DataInFlag, putDataIn } from '../../src/iscsi/wire/data-in.js';
import { dataOutBufferOffset, dataOutDataSn, dataOutTtt } from '../../src/iscsi/wire/data-out.js';
import { PduFramer, type PduReceiver } from '../../src/iscsi/wire/framer.js';
import { type LoginRequest, LoginStage, parseLoginRequest } from '../../src/iscsi/wire/login-request.js';
import { emitLoginResponse } from '../../src/iscsi/wire/login-response.js';
import { emitLogoutResponse } from '../../src/iscsi/wire/logout.js';
import { emitNopIn } from '../../src/iscsi/wire/nop-in.js';
import { PduWriter } from '../../src/iscsi/wire/pdu-writer.js';
import { putR2T } from '../../src/iscsi/wire/r2t.js';
import { CDB_AT, CommandFlag, commandCmdSn, commandEdtl, commandFlags } from '../../src/iscsi/wire/scsi-command.js';
import { buildResponseData, putScsiResponse } from '../../src/iscsi/wire/scsi-response.js';
import { emitTaskManagementResponse } from '../../src/iscsi/wire/task-management.js';
import { emitText, splitText, TextAssembler, type TextPair } from '../../src/iscsi/wire/text.js';
import { emitTextResponse } from '../../src/iscsi/wire/text-response.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { serialAdd } from '../../src/util/serial32.js';
import type { StreamConsumer } from '../../src/util/stream.js';
import { MemorySink } from './memory-link.js';

/** A PDU as it came, copied. */
export interface SeenPdu {
  readonly opcode: number;
  readonly immediate: boolean;
  readonly bhs: Buffer;
  readonly data: Buffer;
}

export interface LoginAnswer {
  readonly status?: number;
  readonly transit?: boolean;
  readonly continues?: boolean;
  readonly csg?: number;
  readonly nsg?: number;
  readonly pairs?: readonly TextPair[];
  /** Sent instead of `pairs`. */
  readonly data?: Buffer;
}

export interface FakeTargetOptions {
  readonly wishes?: NegotiationWishes;
  /** With CHAP this; without, logins that start in the security stage are offered None. */
  readonly chap?: Pick<ChapTargetOptions, 'algorithms' | 'find'>;
  /** Answers a Login Request in place of the rules; undefined leaves it to them. */
  readonly onLogin?: (pdu: LoginRequest, pairs: readonly TextPair[], round: number) => LoginAnswer | undefined;
  /** Takes any PDU of full feature phase; true: it has been dealt with. */
  readonly onPdu?: (pdu: SeenPdu, target: FakeTarget) => boolean;
  /** Commands beyond ExpCmdSN that may be sent; default 128. */
  readonly window?: number;
  readonly disk?: Buffer;
  /** The bytes behind a LUN, where there are several; default `disk` for each. */
  readonly diskOf?: (lun: Buffer) => Buffer;
  /** Answers the commands that ask a LUN what it is; without it they are a mistake of the test. */
  readonly unit?: FakeUnit;
  /** The TSIH given at the end of a login; default 7. */
  readonly tsih?: number;
  /** Largest R2T; default MaxBurstLength. */
  readonly r2tBytes?: number;
  /** R2Ts that are outstanding at once; default as negotiated. Asked for from the end of the buffer with `r2tReversed`. */
  readonly r2tReversed?: boolean;
  /** Status of reads in a SCSI Response of its own, not in the last Data-In. */
  readonly separateStatus?: boolean;
}

/** What a unit says of itself: data, sense, or null to leave the command to the fake target. */
export interface FakeUnit {
  answer(cdb: Buffer): Buffer | Sense | null;
}

interface Write {
  readonly bytes: Buffer;
  readonly lun: Buffer;
  readonly lba: number;
  /** Bytes that have come, and where the first not yet solicited one is. */
  arrived: number;
  asked: number;
  /** Bytes whose R2T is out. */
  readonly open: Map<number, { at: number; left: number; dataSn: number }>;
  unsolicitedOpen: boolean;
  r2tSn: number;
}

export const BLOCK = 512;

export class FakeTarget implements StreamConsumer, PduReceiver {
  readonly sink = new MemorySink();
  readonly writer: PduWriter;
  readonly seen: SeenPdu[] = [];
  readonly disk: Buffer;
  readonly options: FakeTargetOptions;
  readonly paused = false;
  readonly #framer: PduFramer;
  readonly #negotiator: Negotiator;
  readonly #chap: ChapTarget | null;
  readonly #text = new TextAssembler();
  readonly #writes = new Map<number, Write>();
  /** Commands that ended before their data came. */
  readonly #refused = new Set<number>();
  params: OperationalParams | null = null;
  statSn = 0xffff_fff0;
  expCmdSn = 1;
  window: number;
  /** MaxCmdSN never goes back. */
  #rounds = 0;
  #authenticated = false;
  #ttt = 1;

  constructor(options: FakeTargetOptions = {}) {
    this.options = options;
    this.disk = options.disk ?? Buffer.alloc(2 ** 24);
    this.window = options.window ?? 128;
    this.writer = new PduWriter(this.sink);
    this.#framer = new PduFramer(this, { maxDataSegment: 8192, maxAhs: 1020, pool: new BufferPool() });
    this.#negotiator = new Negotiator({ role: 'target', discovery: false, wishes: options.wishes ?? {} });
    this.#chap =
      options.chap === undefined ? null : new ChapTarget({ ...options.chap, challenges: new ChapChallenges() });
  }
  onBytes: StreamConsumer['onBytes'] = (chunk, owner) => this.#framer.onBytes(chunk, owner);
  readTarget(): Buffer | null {
    return this.#framer.readTarget();
  }
  onTargetFilled(length: number): void {
    this.#framer.onTargetFilled(length);
  }
  onDrain(): void {}
  onDataDigestError(): void {
    throw new Error('the initiator sent a wrong data digest');
  }
  get maxCmdSn(): number {
    return serialAdd(this.expCmdSn, this.window - 1);
  }
  /** The PDUs of one kind, oldest first. */
  all(opcode: number): SeenPdu[] {
    return this.seen.filter((pdu) => pdu.opcode === opcode);
  }

  onPdu(b: Buffer, at: number, _ahs: Buffer, data: Buffer): void {
    const bhs = Buffer.from(b.subarray(at, at + BHS_LENGTH));
    const pdu = { opcode: opcodeOf(bhs), immediate: isImmediate(bhs), bhs, data: Buffer.from(data) };
    this.seen.push(pdu);
    if (this.params === null) {
      if (pdu.opcode !== Opcode.LoginRequest) throw new Error(`opcode ${pdu.opcode} before the login has ended`);
      this.#onLogin(pdu);
      return;
    }
    const numbered = pdu.opcode === Opcode.ScsiCommand || pdu.opcode === Opcode.TextRequest;
    if (numbered && !pdu.immediate) {
      if (commandCmdSn(bhs) !== this.expCmdSn) throw new Error(`CmdSN ${commandCmdSn(bhs)}, ${this.expCmdSn} was due`);
      this.expCmdSn = serialAdd(this.expCmdSn, 1);
    }
    if (this.options.onPdu?.(pdu, this) === true) return;
    this.serve(pdu);
  }

  // Login

  #onLogin({ bhs, data }: SeenPdu): void {
    const pdu = parseLoginRequest(bhs);
    const pairs = this.#text.push(data, pdu.continues);
    const round = this.#rounds++;
    if (pairs === null) {
      this.loginResponse(pdu, { pairs: [] });
      return;
    }
    this.loginResponse(pdu, this.options.onLogin?.(pdu, pairs, round) ?? this.#byTheRules(pdu, pairs));
  }
  #byTheRules(pdu: LoginRequest, pairs: readonly TextPair[]): LoginAnswer {
    if (pdu.csg === LoginStage.Security) return this.#security(pdu, pairs);
    if (this.#chap !== null && !this.#authenticated) return { status: 0x0201 };
    const answers = this.#negotiator.receive(pairs);
    return { transit: pdu.transit, nsg: pdu.nsg, pairs: [...answers, ...this.#negotiator.offer()] };
  }
  #security(pdu: LoginRequest, pairs: readonly TextPair[]): LoginAnswer {
    const offered = pairs.find(([key]) => key === 'AuthMethod')?.[1];
    if (offered === 'None' && this.#chap !== null) return { status: 0x0201 };
    if (offered !== undefined) {
      return {
        transit: pdu.transit && offered === 'None',
        pairs: [
          ['AuthMethod', this.#chap === null ? 'None' : 'CHAP'],
          ['TargetPortalGroupTag', '1'],
        ],
      };
    }
    if (this.#chap === null) return { transit: pdu.transit, nsg: pdu.nsg };
    const verdict = this.#chap.receive(pairs);
    if (verdict.kind === 'refuse') return { status: 0x0200 | verdict.detail };
    if (verdict.kind === 'continue') return { pairs: verdict.pairs };
    this.#authenticated = true;
    return { transit: pdu.transit, nsg: pdu.nsg, pairs: verdict.pairs };
  }
  loginResponse(pdu: LoginRequest, answer: LoginAnswer): void {
    const { status = 0, transit = false, continues = false, csg = pdu.csg, nsg = transit ? pdu.nsg : 0 } = answer;
    const tsih = transit && nsg === LoginStage.FullFeature ? (this.options.tsih ?? 7) : 0;
    const statSn = this.takeStatSn();
    this.writer.send(
      (b, at) =>
        emitLoginResponse(
          {
            transit,
            continues,
            csg,
            nsg,
            versionMax: 0,
            versionActive: 0,
            isid: pdu.isid,
            tsih,
            itt: pdu.itt,
            statSn,
            expCmdSn: this.expCmdSn,
            maxCmdSn: this.maxCmdSn,
            statusClass: status >>> 8,
            statusDetail: status & 0xff,
          },
          b,
          at,
        ),
      answer.data ?? emitText(answer.pairs ?? []),
    );
    if (status !== 0 || tsih === 0) return;
    this.params = this.#negotiator.result();
    this.#framer.setMaxDataSegment(this.params.maxRecvDataSegmentLength);
    this.#framer.setDigests(this.params.headerDigest === 'CRC32C', this.params.dataDigest === 'CRC32C');
    this.writer.setDigests(this.params.headerDigest === 'CRC32C', this.params.dataDigest === 'CRC32C');
  }

  // Full feature phase by the rules

  serve(pdu: SeenPdu): void {
    const { opcode, bhs } = pdu;
    if (opcode === Opcode.ScsiCommand) this.#onCommand(pdu);
    else if (opcode === Opcode.DataOut) this.#onDataOut(pdu);
    else if (opcode === Opcode.NopOut && tagOf(bhs) !== NO_TAG) this.nopIn(tagOf(bhs), NO_TAG);
    else if (opcode === Opcode.LogoutRequest) this.logoutResponse(tagOf(bhs));
    else if (opcode === Opcode.TaskManagementRequest) this.functionResponse(tagOf(bhs), 0);
    else if (opcode !== Opcode.NopOut) throw new Error(`the fake target does not know opcode ${opcode}`);
  }
  #onCommand(pdu: SeenPdu): void {
    const { bhs } = pdu;
    const op = bhs[CDB_AT];
    const said = this.options.unit?.answer(bhs.subarray(CDB_AT, CDB_AT + 16)) ?? null;
    if (said !== null) {
      this.answer(bhs, said);
      return;
    }
    const lba = Number(bhs.readBigUInt64BE(CDB_AT + 2));
    if (op === ScsiOp.Read16)
      this.sendRead(tagOf(bhs), this.#diskOf(lunOf(bhs)).subarray(lba * BLOCK, lba * BLOCK + commandEdtl(bhs)));
    else if (op === ScsiOp.Write16) this.#startWrite(pdu, lba);
    else if (op === ScsiOp.SynchronizeCache16) this.response(tagOf(bhs), 0);
    else throw new Error(`the fake target does not know operation code ${op}`);
  }
  /** Ends the command with sense data, or with data that fit one Data-In. */
  answer(bhs: Buffer, said: Buffer | Sense): void {
    const itt = tagOf(bhs);
    if (!Buffer.isBuffer(said)) this.response(itt, 0x02, { sense: buildFixedSense(said) });
    else if (said.length === 0) this.response(itt, 0);
    else {
      const data = said.subarray(0, commandEdtl(bhs));
      const residual = commandEdtl(bhs) - data.length;
      const flags = DataInFlag.Final | DataInFlag.Status | (residual > 0 ? DataInFlag.Underflow : 0);
      this.dataIn(itt, { flags, dataSn: 0, offset: 0, data, residual });
    }
  }
  #diskOf(lun: Buffer): Buffer {
    return this.options.diskOf?.(lun) ?? this.disk;
  }
  /** Throws a command away without a word; the data that is still on its way for it is dropped. */
  forget(itt: number): void {
    this.#refused.add(itt);
    this.#writes.delete(itt);
  }
  /** Forgets a command without an answer; the data that is still on its way for it is dropped. */
  abandon(itt: number): void {
    this.#refused.add(itt);
    this.#writes.delete(itt);
  }
  isRefused(itt: number): boolean {
    return this.#refused.has(itt);
  }
  /** Ends a command at once; the data that is still on its way for it is dropped. */
  refuse(itt: number, status: number, sense?: Buffer): void {
    this.forget(itt);
    this.response(itt, status, sense === undefined ? {} : { sense });
  }
  /** Data-In PDUs of MaxRecvDataSegmentLength in sequences of MaxBurstLength, then the status. */
  sendRead(itt: number, bytes: Buffer): void {
    const params = this.params as OperationalParams;
    let dataSn = 0;
    for (let at = 0; at < bytes.length; ) {
      const inBurst = params.maxBurstLength - (at % params.maxBurstLength);
      const length = Math.min(bytes.length - at, params.maxXmitDataSegmentLength, inBurst);
      const last = at + length === bytes.length;
      const status = last && this.options.separateStatus !== true;
      const flags = (last || length === inBurst ? DataInFlag.Final : 0) | (status ? DataInFlag.Status : 0);
      this.dataIn(itt, { flags, dataSn: dataSn++, offset: at, data: bytes.subarray(at, at + length) });
      at += length;
    }
    if (this.options.separateStatus === true) this.response(itt, 0);
  }
  #startWrite({ bhs, data }: SeenPdu, lba: number): void {
    const params = this.params as OperationalParams;
    const final = (commandFlags(bhs) & CommandFlag.Final) !== 0;
    const total = commandEdtl(bhs);
    if (!params.immediateData && data.length > 0) throw new Error('immediate data where ImmediateData=No');
    if (params.initialR2T && !final) throw new Error('unsolicited data where InitialR2T=Yes');
    if (data.length > params.firstBurstLength) throw new Error('immediate data above FirstBurstLength');
    const write: Write = {
      bytes: Buffer.alloc(total),
      lun: Buffer.from(lunOf(bhs)),
      lba,
      arrived: 0,
      asked: final ? data.length : Math.min(total, params.firstBurstLength),
      open: new Map(),
      unsolicitedOpen: !final,
      r2tSn: 0,
    };
    data.copy(write.bytes);
    write.arrived = data.length;
    if (!final) write.open.set(NO_TAG, { at: data.length, left: write.asked - data.length, dataSn: 0 });
    this.#writes.set(tagOf(bhs), write);
    this.#goOn(tagOf(bhs), write);
  }
  #onDataOut({ bhs, data }: SeenPdu): void {
    const itt = tagOf(bhs);
    const write = this.#writes.get(itt);
    if (write === undefined && this.#refused.has(itt)) return;
    if (write === undefined) throw new Error('Data-Out for no write');
    const ttt = dataOutTtt(bhs);
    const sequence = write.open.get(ttt);
    if (sequence === undefined) throw new Error('Data-Out that was not asked for');
    if (dataOutDataSn(bhs) !== sequence.dataSn++) throw new Error('DataSN of Data-Out');
    if (dataOutBufferOffset(bhs) !== sequence.at) throw new Error('Buffer Offset of Data-Out');
    if (data.length > sequence.left) throw new Error('more Data-Out than was asked for');
    data.copy(write.bytes, sequence.at);
    sequence.at += data.length;
    sequence.left -= data.length;
    write.arrived += data.length;
    if (isFinal(bhs) !== (sequence.left === 0)) throw new Error('F bit of Data-Out');
    if (sequence.left === 0) write.open.delete(ttt);
    if (ttt === NO_TAG && sequence.left === 0) write.unsolicitedOpen = false;
    this.#goOn(itt, write);
  }
  #goOn(itt: number, write: Write): void {
    const params = this.params as OperationalParams;
    if (write.unsolicitedOpen) return;
    if (write.arrived === write.bytes.length) {
      write.bytes.copy(this.#diskOf(write.lun), write.lba * BLOCK);
      this.#writes.delete(itt);
      this.response(itt, 0);
      return;
    }
    const ranges: [number, number][] = [];
    while (write.asked < write.bytes.length && write.open.size + ranges.length < params.maxOutstandingR2T) {
      const most = Math.min(this.options.r2tBytes ?? params.maxBurstLength, params.maxBurstLength);
      const length = Math.min(most, write.bytes.length - write.asked);
      ranges.push([write.asked, length]);
      write.asked += length;
    }
    if (this.options.r2tReversed === true) ranges.reverse();
    for (const [at, length] of ranges) {
      const ttt = this.#ttt++;
      write.open.set(ttt, { at, left: length, dataSn: 0 });
      this.r2t(itt, { ttt, sn: write.r2tSn++, offset: at, length, lun: write.lun });
    }
  }

  // Single PDUs

  takeStatSn(): number {
    const taken = this.statSn;
    this.statSn = serialAdd(taken, 1);
    return taken;
  }
  dataIn(
    itt: number,
    pdu: { flags: number; dataSn: number; offset: number; data: Buffer; status?: number; residual?: number },
  ): void {
    const statSn = (pdu.flags & DataInFlag.Status) === 0 ? 0 : this.takeStatSn();
    const { flags, status = 0, dataSn, offset, residual = 0 } = pdu;
    this.writer.send(
      (b, at) => putDataIn(b, at, flags, status, itt, statSn, this.expCmdSn, this.maxCmdSn, dataSn, offset, residual),
      pdu.data,
    );
  }
  response(
    itt: number,
    status: number,
    more: { response?: number; flags?: number; residual?: number; sense?: Buffer } = {},
  ): void {
    const { response = 0, flags = 0, residual = 0, sense } = more;
    const statSn = this.takeStatSn();
    this.writer.send(
      (b, at) =>
        putScsiResponse(b, at, flags, response, status, itt, statSn, this.expCmdSn, this.maxCmdSn, 0, residual),
      sense === undefined ? null : buildResponseData(sense),
    );
  }
  r2t(itt: number, pdu: { ttt: number; sn: number; offset: number; length: number; lun?: Buffer }): void {
    const { ttt, sn, offset, length, lun = Buffer.alloc(8) } = pdu;
    this.writer.send((b, at) =>
      putR2T(b, at, lun, itt, ttt, this.statSn, this.expCmdSn, this.maxCmdSn, sn, offset, length),
    );
  }
  nopIn(itt: number, ttt: number, lun = Buffer.alloc(8)): void {
    const statSn = itt === NO_TAG ? this.statSn : this.takeStatSn();
    const { expCmdSn, maxCmdSn } = this;
    this.writer.send((b, at) => emitNopIn({ lun, itt, ttt, statSn, expCmdSn, maxCmdSn }, b, at));
  }
  logoutResponse(itt: number, response = 0, time2Wait = 0): void {
    const { expCmdSn, maxCmdSn } = this;
    const statSn = this.takeStatSn();
    const pdu = { response, itt, statSn, expCmdSn, maxCmdSn, time2Wait, time2Retain: 0 };
    this.writer.send((b, at) => emitLogoutResponse(pdu, b, at));
  }
  functionResponse(itt: number, response: number): void {
    const { expCmdSn, maxCmdSn } = this;
    const pdu = { response, itt, statSn: this.takeStatSn(), expCmdSn, maxCmdSn };
    this.writer.send((b, at) => emitTaskManagementResponse(pdu, b, at));
  }
  textResponse(itt: number, pdu: { final: boolean; continues: boolean; ttt: number; data: Buffer }): void {
    const { expCmdSn, maxCmdSn } = this;
    const { final, continues, ttt } = pdu;
    const head = { final, continues, ttt, lun: Buffer.alloc(8), itt, statSn: this.takeStatSn(), expCmdSn, maxCmdSn };
    this.writer.send((b, at) => emitTextResponse(head, b, at), pdu.data);
  }
}

/** Answers the Text Requests of one exchange with `pairs`, in segments of at most `segment` bytes. */
export function textAnswerer(
  pairs: readonly TextPair[],
  segment: number,
): (pdu: SeenPdu, target: FakeTarget) => boolean {
  const segments = splitText(emitText(pairs), segment);
  return (pdu, target) => {
    if (pdu.opcode !== Opcode.TextRequest) return false;
    const data = segments.shift() ?? Buffer.alloc(0);
    const more = segments.length > 0;
    target.textResponse(tagOf(pdu.bhs), { final: !more, continues: more, ttt: more ? 0x77 : NO_TAG, data });
    return true;
  };
}

/** The operation codes of the commands that a target has seen. */
export function ops(target: FakeTarget): number[] {
  return target.all(Opcode.ScsiCommand).map(({ bhs }) => bhs[CDB_AT] as number);
}
