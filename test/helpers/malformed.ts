// Sequences of PDUs that are nearly right, from a seed: what an initiator says from its login to its logout, with a few mistakes.
import { createHash } from 'node:crypto';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { crc32c } from '../../src/util/crc32c.js';

/** mulberry32: small, quick and the same everywhere. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed | 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** 0 … n - 1. */
  below(n: number): number {
    return this.next() % n;
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

export interface LooseLogin {
  readonly initiator: string;
  readonly target: string;
  readonly user: string;
  readonly secret: string;
}

/** A PDU before its lengths and digests are made: either may be wrong on purpose. */
interface LoosePdu {
  header: Buffer;
  ahs: Buffer;
  data: Buffer;
}

/** What the target has said that a later PDU may need. */
export class Heard {
  /** R2Ts not yet answered. */
  readonly r2ts: { itt: number; ttt: number; offset: number; length: number }[] = [];
  ttt = 0xffffffff;
  challenge: { readonly id: number; readonly bytes: Buffer } | null = null;
  digests = { header: false, data: false };
  fullFeature = false;
}

/** A step of a sequence: the PDUs that it sends now, as far as the target has let it. */
type Step = (heard: Heard) => LoosePdu[];

const TAGS = [0, 1, 2, 3, 4, 5, 0x7fffffff, 0xfffffffe, 0xffffffff];
const LENGTHS = [
  0,
  1,
  3,
  4,
  47,
  48,
  511,
  512,
  513,
  4096,
  8191,
  8192,
  8193,
  65_536,
  65_540,
  262_144,
  262_148,
  2 ** 24 - 1,
];
const WORDS = [0, 1, 2, 7, 512, 4096, 65_536, 2 ** 20, 2 ** 24, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];
const OPCODES = [
  0x28, 0x2a, 0x88, 0x8a, 0x2e, 0x2f, 0x89, 0x93, 0x41, 0x42, 0x48, 0x5e, 0x5f, 0x83, 0x84, 0x8b, 0x9c, 0x9e, 0xa0,
  0xa3, 0x12, 0x1a, 0x5a, 0x15, 0x55, 0x03, 0x16, 0x17, 0x25, 0x35, 0x91, 0x34, 0x90, 0x1b, 0x1e, 0x00, 0x37, 0xb7,
];

function text(...pairs: string[]): Buffer {
  return Buffer.from(pairs.map((pair) => `${pair}\0`).join(''));
}
function pdu(
  opcode: number,
  flags: number,
  words: Readonly<Record<number, number>>,
  data: Buffer = Buffer.alloc(0),
): LoosePdu {
  const header = Buffer.alloc(48);
  header[0] = opcode;
  header[1] = flags;
  for (const [at, word] of Object.entries(words)) header.writeUInt32BE(word >>> 0, Number(at));
  return { header, ahs: Buffer.alloc(0), data };
}

/** Makes the sequence of one connection and, as it goes, its mistakes. */
export class Sequence {
  readonly #random: Random;
  readonly #who: LooseLogin;
  readonly #isid: number;
  readonly #steps: Step[] = [];
  #itt = 1;
  #cmdSn = 1;

  constructor(random: Random, who: LooseLogin) {
    this.#random = random;
    this.#who = who;
    this.#isid = random.below(16);
    this.#plan();
  }

  /** The bytes of the next step, or null after the last one. */
  next(heard: Heard): Buffer | null {
    const step = this.#steps.shift();
    if (step === undefined) return null;
    let pdus = step(heard);
    if (this.#random.chance(12)) pdus = this.#disorder(pdus);
    const wire = pdus.map((one) => {
      if (this.#random.chance(8)) this.#spoil(one);
      return this.#serialise(one, heard);
    });
    return this.#spoilBytes(Buffer.concat(wire));
  }

  // ---- What an honest initiator would say ---------------------------------------------------------------------------

  #plan(): void {
    const random = this.#random;
    const kind = random.below(10);
    if (kind < 5) this.#steps.push(() => this.#operationalLogin());
    else if (kind < 8) this.#chapLogin();
    else this.#steps.push(() => this.#discoveryLogin());
    for (let n = random.below(10); n > 0; n--) this.#steps.push(this.#fullFeatureStep());
    if (random.chance(2)) this.#steps.push(() => [this.#request(Opcode.LogoutRequest, 0x80 | random.below(3), {})]);
  }

  #keys(): string[] {
    const { initiator, target } = this.#who;
    const keys = [`InitiatorName=${initiator}`, 'SessionType=Normal', `TargetName=${target}`];
    const wishes = [
      'InitialR2T=No',
      'ImmediateData=Yes',
      'MaxRecvDataSegmentLength=8192',
      'MaxBurstLength=16384',
      'FirstBurstLength=8192',
      'MaxOutstandingR2T=4',
      'HeaderDigest=CRC32C,None',
      'DataDigest=CRC32C',
      'IFMarker=Yes',
      'X-org.example=1',
      'MaxConnections=4',
      'ErrorRecoveryLevel=2',
      'DefaultTime2Wait=0',
      'TaskReporting=FastAbort',
    ];
    for (const wish of wishes) if (this.#random.chance(2)) keys.push(wish);
    return keys;
  }
  #login(flags: number, data: Buffer): LoosePdu {
    const login = pdu(0x43, flags, { 16: 0, 24: this.#cmdSn }, data);
    login.header[8] = 0x80;
    login.header[12] = this.#isid;
    return login;
  }
  #operationalLogin(): LoosePdu[] {
    const keys = this.#keys();
    if (!this.#random.chance(8)) return [this.#login(0x87, text(...keys))];
    // In parts, with the C bit.
    const whole = text(...keys);
    const cut = 1 + this.#random.below(whole.length - 1);
    return [this.#login(0x44, whole.subarray(0, cut)), this.#login(0x87, whole.subarray(cut))];
  }
  #discoveryLogin(): LoosePdu[] {
    return [this.#login(0x87, text(`InitiatorName=${this.#who.initiator}`, 'SessionType=Discovery'))];
  }
  #chapLogin(): void {
    const security = 0x00;
    this.#steps.push(() => [this.#login(security, text(...this.#keys().slice(0, 3), 'AuthMethod=CHAP,None'))]);
    this.#steps.push(() => [
      this.#login(security, text(`CHAP_A=${this.#random.pick(['5', '8,7,6,5', '5,5', '99', ''])}`)),
    ]);
    this.#steps.push(({ challenge }) => {
      const { id, bytes } = challenge ?? { id: 0, bytes: Buffer.alloc(16) };
      const { user, secret } = this.#who;
      const hash = createHash('md5')
        .update(Buffer.from([id]))
        .update(secret)
        .update(bytes);
      const mutual = this.#random.chance(3) ? ['CHAP_I=7', `CHAP_C=0x${'5a'.repeat(1 + this.#random.below(600))}`] : [];
      return [this.#login(0x81, text(`CHAP_N=${user}`, `CHAP_R=0x${hash.digest('hex')}`, ...mutual))];
    });
    this.#steps.push(() => [this.#login(0x87, text(...this.#keys().slice(3)))]);
  }

  #request(opcode: number, flags: number, words: Record<number, number>, data?: Buffer): LoosePdu {
    const immediate = this.#random.chance(10);
    const cmdSn = immediate ? this.#cmdSn : this.#cmdSn++;
    const numbers = { 16: this.#itt++, 20: 0xffffffff, 24: cmdSn };
    return pdu(opcode | (immediate ? 0x40 : 0), flags, { ...numbers, ...words }, data);
  }

  #fullFeatureStep(): Step {
    const random = this.#random;
    switch (random.below(14)) {
      case 0:
        return () => [this.#request(Opcode.NopOut, 0x80, {}, Buffer.alloc(random.below(64)))];
      case 1:
        return () => [
          this.#request(
            Opcode.TextRequest,
            0x80,
            {},
            text(random.pick(['SendTargets=All', 'SendTargets=', 'Odd=1', 'MaxRecvDataSegmentLength=512'])),
          ),
        ];
      case 2:
        return () => [
          this.#request(Opcode.TaskManagementRequest, 0x80 | random.below(9), {
            20: random.pick(TAGS),
            32: this.#cmdSn,
          }),
        ];
      case 3:
        return () => [
          pdu(Opcode.SnackRequest, 0x80 | random.below(4), { 16: random.pick(TAGS), 20: random.pick(TAGS) }),
        ];
      case 4:
      case 5:
        return (heard) => this.#answerR2ts(heard);
      case 6:
      case 7:
        return () => [this.#read(random.below(32), random.below(24))];
      case 8:
        return () => [this.#anyCommand()];
      default:
        return () => this.#write(random.below(32), random.below(48));
    }
  }
  #cdb(command: LoosePdu, opcode: number, lba: number, blocks: number): LoosePdu {
    const { header } = command;
    header[32] = opcode;
    if (opcode >> 5 === 4) {
      header.writeUInt32BE(lba, 38);
      header.writeUInt32BE(blocks, 42);
    } else {
      header.writeUInt32BE(lba, 34);
      header.writeUInt16BE(blocks, 39);
    }
    return command;
  }
  #read(lba: number, blocks: number): LoosePdu {
    const command = this.#request(Opcode.ScsiCommand, 0xc1, { 20: blocks * 512 });
    return this.#cdb(command, this.#random.pick([0x28, 0x88]), lba, blocks);
  }
  /** A write with some of its data: immediate, unsolicited, and the rest when it is asked for. */
  #write(lba: number, blocks: number): LoosePdu[] {
    const random = this.#random;
    const immediate = random.pick([0, 512, Math.min(blocks * 512, 8192)]);
    const unsolicited = random.chance(3) ? Math.min(4096, blocks * 512) : 0;
    const command = this.#request(
      Opcode.ScsiCommand,
      unsolicited > 0 ? 0x21 : 0xa1,
      { 20: blocks * 512 },
      Buffer.alloc(immediate, lba),
    );
    const itt = command.header.readUInt32BE(16);
    const pdus = [this.#cdb(command, random.pick([0x2a, 0x8a, 0x2e, 0x2f, 0x89, 0x93]), lba, blocks)];
    if (unsolicited > 0) pdus.push(this.#dataOut(itt, 0xffffffff, 0, immediate, unsolicited, true));
    return pdus;
  }
  #dataOut(itt: number, ttt: number, dataSn: number, offset: number, length: number, final: boolean): LoosePdu {
    return pdu(
      Opcode.DataOut,
      final ? 0x80 : 0,
      { 16: itt, 20: ttt, 36: dataSn, 40: offset },
      Buffer.alloc(length, itt),
    );
  }
  #answerR2ts(heard: Heard): LoosePdu[] {
    const pdus: LoosePdu[] = [];
    for (const { itt, ttt, offset, length } of heard.r2ts.splice(0)) {
      for (let at = 0, dataSn = 0; at < length && pdus.length < 16; at += 8192, dataSn++) {
        const size = Math.min(8192, length - at);
        pdus.push(this.#dataOut(itt, ttt, dataSn, offset + at, size, at + size >= length));
      }
    }
    return pdus;
  }
  /** Any command with any parameters, and maybe a parameter list. */
  #anyCommand(): LoosePdu {
    const random = this.#random;
    const list = random.chance(2)
      ? Buffer.alloc(random.pick([8, 24, 40, 64, 512]), random.below(256))
      : Buffer.alloc(0);
    for (let i = random.below(6); i > 0 && list.length > 0; i--) list[random.below(list.length)] = random.below(256);
    const flags = list.length > 0 ? 0xa1 : 0xc1;
    const command = this.#request(Opcode.ScsiCommand, flags, { 20: random.pick(LENGTHS) }, list);
    for (let i = 0; i < 16; i++) command.header[32 + i] = random.chance(3) ? random.below(256) : 0;
    command.header[32] = random.pick(OPCODES);
    return command;
  }

  // ---- Mistakes -----------------------------------------------------------------------------------------------------

  #disorder(pdus: LoosePdu[]): LoosePdu[] {
    const random = this.#random;
    const [one] = pdus;
    if (one === undefined)
      return [
        pdu(random.below(64), random.below(256), { 16: random.pick(TAGS), 20: random.pick(TAGS), 24: this.#cmdSn }),
      ];
    switch (random.below(4)) {
      case 0:
        return pdus.slice(1);
      case 1:
        return [...pdus, { header: Buffer.from(one.header), ahs: one.ahs, data: one.data }];
      case 2:
        return pdus.reverse();
      default:
        return [this.#anyCommand(), ...pdus];
    }
  }

  /** A mistake in one field; the PDU is otherwise whole, digests included. */
  #spoil(one: LoosePdu): void {
    const random = this.#random;
    const { header } = one;
    switch (random.below(10)) {
      case 0:
        header[0] = random.below(256);
        return;
      case 1:
        header[1] = random.below(256);
        return;
      case 2:
        one.data = Buffer.alloc(random.pick([0, 1, 5, 512, 8192, 8196]), random.below(256));
        return;
      case 3:
        one.ahs = Buffer.alloc(4 * random.below(256), random.below(4));
        return;
      case 4:
        header.writeUInt32BE(random.pick(TAGS), random.pick([16, 20]));
        return;
      case 5:
        header.writeUInt32BE((header.readUInt32BE(24) + random.below(300) - 150) >>> 0, 24);
        return;
      case 6:
        header.writeUInt32BE(random.pick(WORDS), random.pick([20, 28, 32, 36, 40, 44]));
        return;
      case 7:
        header[random.below(48)] = random.below(256);
        return;
      case 8:
        if (one.data.length > 0) {
          one.data = Buffer.from(one.data);
          for (let i = 1 + random.below(8); i > 0; i--)
            one.data[random.below(one.data.length)] = random.pick([0, 0x3d, 0x2c, 0x41, random.below(256)]);
        }
        return;
      default:
        header.writeUIntBE(random.below(2 ** 16), 8, 2);
    }
  }

  #serialise({ header, ahs, data }: LoosePdu, { digests }: Heard): Buffer {
    header[4] = ahs.length >> 2;
    header.writeUIntBE(data.length, 5, 3);
    const parts = [header, ahs];
    if (digests.header) parts.push(digestOf(Buffer.concat(parts)));
    if (data.length > 0) {
      const padded = Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
      parts.push(padded);
      if (digests.data) parts.push(digestOf(padded));
    }
    return Buffer.concat(parts);
  }

  /** A mistake on the wire: bits, lengths that lie, cuts and splices, after which nothing may fit any more. */
  #spoilBytes(bytes: Buffer): Buffer {
    const random = this.#random;
    if (bytes.length === 0 || !random.chance(10)) return bytes;
    const at = random.below(bytes.length);
    switch (random.below(5)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
        return bytes;
      case 1:
        bytes.writeUIntBE(random.pick(LENGTHS), 5, 3);
        return bytes;
      case 2:
        return bytes.subarray(0, at);
      case 3:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.below(bytes.length))]);
      default:
        bytes[4] = random.below(256);
        return bytes;
    }
  }
}

function digestOf(bytes: Buffer): Buffer {
  const digest = Buffer.alloc(4);
  digest.writeUInt32LE(crc32c(bytes));
  return digest;
}
