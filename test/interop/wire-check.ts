// A relay between an initiator and a target that reads every PDU and holds the initiator to RFC 7143: what it sends
// unasked, how much at a time, and only within what both ends agreed on at login. With a reader of its own, not src's.
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What one connection negotiated, computed here from the text that passed. Lengths in bytes. */
export interface Agreed {
  initialR2T: boolean;
  immediateData: boolean;
  firstBurstLength: number;
  maxBurstLength: number;
  maxOutstandingR2T: number;
  headerDigest: boolean;
  dataDigest: boolean;
  /** The largest data segment that the target, and that the initiator takes. */
  toTarget: number;
  toInitiator: number;
}

export interface WireLog {
  /** Rules that the initiator broke, each with the clause. Empty is good. */
  readonly violations: string[];
  /** Keys as each side wrote them, in the order of the login. */
  readonly offered: Map<string, string>;
  readonly answered: Map<string, string>;
  agreed: Agreed | null;
  commands: number;
  immediateBytes: number;
  unsolicitedPdus: number;
  r2ts: number;
  /** Most R2Ts of one command that were unanswered at once, most commands in flight at once. */
  mostOutstandingR2T: number;
  mostCommands: number;
}

export interface Relay {
  readonly port: number;
  readonly logs: WireLog[];
  close(): Promise<void>;
}

/** Listens on 127.0.0.1 and passes every connection on to `host`:`port`. */
export async function startRelay(host: string, port: number): Promise<Relay> {
  const logs: WireLog[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(port, host);
    const wire = new WireReader();
    logs.push(wire.log);
    for (const [from, to, side] of [
      [near, far, 'initiator'],
      [far, near, 'target'],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => {
        wire.push(side, chunk);
        if (!to.write(chunk)) from.pause();
      });
      to.on('drain', () => from.resume());
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => sockets.delete(from));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: own } = server.address() as { port: number };
  return {
    port: own,
    logs,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Side = 'initiator' | 'target';
const NO_TAG = 0xffffffff;

interface Write {
  readonly length: number;
  /** Bytes sent unasked so far; whether more may come. */
  unsolicited: number;
  open: boolean;
  dataSn: number;
  readonly r2ts: Map<number, { at: number; readonly end: number; dataSn: number }>;
}

/** Reads the bytes of one connection in both directions. */
export class WireReader {
  readonly log: WireLog = {
    violations: [],
    offered: new Map(),
    answered: new Map(),
    agreed: null,
    commands: 0,
    immediateBytes: 0,
    unsolicitedPdus: 0,
    r2ts: 0,
    mostOutstandingR2T: 0,
    mostCommands: 0,
  };
  readonly #rest: Record<Side, Buffer> = { initiator: Buffer.alloc(0), target: Buffer.alloc(0) };
  readonly #text: Record<Side, Buffer[]> = { initiator: [], target: [] };
  readonly #writes = new Map<number, Write>();
  readonly #active = new Set<number>();
  #maxCmdSn = 0;

  push(side: Side, chunk: Buffer): void {
    let bytes = Buffer.concat([this.#rest[side], chunk]);
    for (;;) {
      const length = this.#pduLength(bytes);
      if (bytes.length < length) break;
      const dataAt = 48 + (bytes[4] ?? 0) * 4 + (this.log.agreed?.headerDigest ? 4 : 0);
      this.#pdu(side, bytes.subarray(0, 48), bytes.subarray(dataAt, dataAt + bytes.readUIntBE(5, 3)));
      bytes = bytes.subarray(length);
    }
    this.#rest[side] = bytes;
  }

  /** The length of the PDU that `bytes` begins with; 48 until its header is there. */
  #pduLength(bytes: Buffer): number {
    if (bytes.length < 48) return 48;
    const data = bytes.readUIntBE(5, 3);
    const digests = (this.log.agreed?.headerDigest ? 4 : 0) + (data > 0 && this.log.agreed?.dataDigest ? 4 : 0);
    return 48 + (bytes[4] ?? 0) * 4 + data + (-data & 3) + digests;
  }

  #pdu(side: Side, b: Buffer, data: Buffer): void {
    const opcode = (b[0] ?? 0) & 0x3f;
    if (opcode === 0x03 || opcode === 0x23) this.#login(side, b, data);
    else if (side === 'initiator') this.#fromInitiator(opcode, b, data);
    else this.#fromTarget(opcode, b);
  }

  #login(side: Side, b: Buffer, data: Buffer): void {
    this.#text[side].push(Buffer.from(data));
    const flags = b[1] ?? 0;
    if ((flags & 0x40) !== 0) return;
    const pairs = Buffer.concat(this.#text[side]).toString('utf8').split('\0').filter(Boolean);
    this.#text[side] = [];
    const map = side === 'initiator' ? this.log.offered : this.log.answered;
    for (const pair of pairs) map.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    if (side === 'target') this.#maxCmdSn = b.readUInt32BE(32);
    if (side === 'target' && (flags & 0x83) === 0x83 && b.readUInt16BE(36) === 0) this.log.agreed = this.#agree();
  }

  /** The result functions of RFC 7143 §13, written once more. */
  #agree(): Agreed {
    const { offered, answered } = this.log;
    const least = (key: string, standard: number) =>
      Math.min(Number(offered.get(key) ?? standard), Number(answered.get(key) ?? standard));
    const yes = (map: Map<string, string>, key: string) => (map.get(key) ?? 'Yes') === 'Yes';
    return {
      initialR2T: yes(offered, 'InitialR2T') || yes(answered, 'InitialR2T'),
      immediateData: yes(offered, 'ImmediateData') && yes(answered, 'ImmediateData'),
      firstBurstLength: least('FirstBurstLength', 65_536),
      maxBurstLength: least('MaxBurstLength', 262_144),
      maxOutstandingR2T: least('MaxOutstandingR2T', 1),
      headerDigest: answered.get('HeaderDigest') === 'CRC32C',
      dataDigest: answered.get('DataDigest') === 'CRC32C',
      toTarget: Number(answered.get('MaxRecvDataSegmentLength') ?? 8192),
      toInitiator: Number(offered.get('MaxRecvDataSegmentLength') ?? 8192),
    };
  }

  #must(holds: boolean, rule: string): void {
    if (!holds && this.log.violations.length < 20) this.log.violations.push(rule);
  }

  #fromInitiator(opcode: number, b: Buffer, data: Buffer): void {
    const { agreed } = this.log;
    if (agreed === null) {
      this.#must(false, '§6.3: a PDU before the login has ended');
      return;
    }
    this.#must(data.length <= agreed.toTarget, `§13.12: a data segment of ${data.length} bytes`);
    if (opcode === 0x01) this.#command(agreed, b, data.length);
    if (opcode === 0x05) this.#dataOut(agreed, b, data.length);
  }

  #command(agreed: Agreed, b: Buffer, immediate: number): void {
    const { log } = this;
    const flags = b[1] ?? 0;
    const [itt, length] = [b.readUInt32BE(16), b.readUInt32BE(20)];
    const final = (flags & 0x80) !== 0;
    log.commands++;
    this.#active.add(itt);
    log.mostCommands = Math.max(log.mostCommands, this.#active.size);
    this.#must(((b.readUInt32BE(24) - this.#maxCmdSn) | 0) <= 0, '§4.2.2.1: a CmdSN above MaxCmdSN');
    if ((flags & 0x20) === 0) {
      this.#must(immediate === 0 && final, '§11.3: data with a command that writes none');
      return;
    }
    log.immediateBytes += immediate;
    this.#must(immediate === 0 || agreed.immediateData, '§13.11: immediate data with ImmediateData=No');
    this.#must(immediate <= Math.min(agreed.firstBurstLength, length), '§13.14: immediate data above FirstBurstLength');
    this.#must(final || !agreed.initialR2T, '§13.10: unsolicited data announced with InitialR2T=Yes');
    this.#writes.set(itt, { length, unsolicited: immediate, open: !final, dataSn: 0, r2ts: new Map() });
  }

  #dataOut(agreed: Agreed, b: Buffer, length: number): void {
    const [itt, ttt, dataSn, at] = [b.readUInt32BE(16), b.readUInt32BE(20), b.readUInt32BE(36), b.readUInt32BE(40)];
    const final = ((b[1] ?? 0) & 0x80) !== 0;
    const write = this.#writes.get(itt);
    if (write === undefined) {
      this.#must(false, '§11.7: Data-Out for no write');
      return;
    }
    if (ttt === NO_TAG) {
      this.log.unsolicitedPdus++;
      this.#must(write.open, '§13.10: unsolicited Data-Out that was not announced');
      this.#must(at === write.unsolicited && dataSn === write.dataSn++, '§11.7: unsolicited Data-Out out of order');
      write.unsolicited += length;
      const most = Math.min(agreed.firstBurstLength, write.length);
      this.#must(write.unsolicited <= most, '§13.14: unsolicited data above FirstBurstLength');
      if (final) write.open = false;
      return;
    }
    const r2t = write.r2ts.get(ttt);
    if (r2t === undefined) {
      this.#must(false, '§11.8: Data-Out for an R2T that is not open');
      return;
    }
    this.#must(at === r2t.at && dataSn === r2t.dataSn++, '§11.7: solicited Data-Out out of order');
    r2t.at += length;
    this.#must(r2t.at <= r2t.end && final === (r2t.at === r2t.end), '§11.8: Data-Out does not end where its R2T does');
    if (final) write.r2ts.delete(ttt);
  }

  #fromTarget(opcode: number, b: Buffer): void {
    const [expCmdSn, maxCmdSn] = [b.readUInt32BE(28), b.readUInt32BE(32)];
    if (((maxCmdSn - this.#maxCmdSn) | 0) > 0 && ((maxCmdSn - expCmdSn) | 0) >= -1) this.#maxCmdSn = maxCmdSn;
    const itt = b.readUInt32BE(16);
    if (opcode === 0x31) this.#r2t(itt, b);
    if (opcode === 0x21 || (opcode === 0x25 && ((b[1] ?? 0) & 0x01) !== 0)) this.#active.delete(itt);
  }

  #r2t(itt: number, b: Buffer): void {
    const [at, length] = [b.readUInt32BE(40), b.readUInt32BE(44)];
    const write = this.#writes.get(itt);
    this.log.r2ts++;
    write?.r2ts.set(b.readUInt32BE(20), { at, end: at + length, dataSn: 0 });
    this.log.mostOutstandingR2T = Math.max(this.log.mostOutstandingR2T, write?.r2ts.size ?? 0);
  }
}
