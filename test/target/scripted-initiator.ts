// A target connection without a socket, and an initiator that sends exactly what a test says.
import type { BlockDevice } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { BHS_LENGTH, opcodeOf } from '../../src/iscsi/wire/bhs.js';
import { emitDataOut } from '../../src/iscsi/wire/data-out.js';
import { PduFramer } from '../../src/iscsi/wire/framer.js';
import { emitLoginRequest, LoginStage } from '../../src/iscsi/wire/login-request.js';
import { type LoginResponse, parseLoginResponse } from '../../src/iscsi/wire/login-response.js';
import { PduWriter } from '../../src/iscsi/wire/pdu-writer.js';
import { emitScsiCommand } from '../../src/iscsi/wire/scsi-command.js';
import { emitText, parseText, type TextPair } from '../../src/iscsi/wire/text.js';
import type { AclConfig, AuthConfig, PortalGroupConfig } from '../../src/target/config.js';
import { TargetConnection } from '../../src/target/connection.js';
import { TargetContext } from '../../src/target/context.js';
import type { TargetEvent } from '../../src/target/events.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { TargetNode } from '../../src/target/target-node.js';
import { BufferPool, RefBuffer } from '../../src/util/ref-buffer.js';
import { MemorySink } from '../helpers/memory-sink.js';

export const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
export const TARGET = 'iqn.2022-08.com.test:dlp.target01';
export const NO_AUTH: AuthConfig = { account: null, mutual: null };
const PORTAL = { address: '127.0.0.1', port: 3260 };

export interface Pdu {
  readonly opcode: number;
  readonly header: Buffer;
  readonly data: Buffer;
}

export interface NodeOptions {
  readonly device?: BlockDevice;
  readonly group?: Partial<PortalGroupConfig>;
  readonly acls?: readonly AclConfig[];
  readonly discoveryAuth?: AuthConfig;
}

export interface Node {
  readonly context: TargetContext;
  readonly unit: LogicalUnit;
}

/** One target with LUN 0, 1 MiB of memory unless `device` says otherwise. */
export function makeNode(options: NodeOptions = {}): Node {
  const device = options.device ?? new MemoryDevice({ sizeBytes: 2 ** 20 });
  const unit = new LogicalUnit({ name: 'disk01', serial: '00112233445566778899aabbccddeeff', device });
  const group: PortalGroupConfig = {
    tag: 1,
    enabled: true,
    portals: [PORTAL],
    luns: [{ lun: 0, unit }],
    acls: options.acls ?? [{ initiatorName: INITIATOR, auth: null, mappedLuns: null }],
    auth: NO_AUTH,
    demoMode: 'off',
    authenticationRequired: (options.group?.auth?.account ?? null) !== null,
    ...options.group,
  };
  const config = {
    alias: null,
    targets: [{ name: TARGET, portalGroups: [group] }],
    discoveryAuth: options.discoveryAuth ?? null,
  };
  return { context: new TargetContext(new TargetNode(config), new BufferPool()), unit };
}

export class ScriptedInitiator {
  readonly sink: MemorySink;
  readonly events: TargetEvent[] = [];
  readonly connection: TargetConnection;
  readonly isid: Buffer;
  closed = false;
  now = 1000;
  cmdSn = 7;
  /** The data of the next PDU that has some is changed after its digest was made. */
  spoilNext = false;
  #itt = 100;
  readonly #out = new MemorySink();
  readonly #writer = new PduWriter(this.#out);
  readonly #pdus: Pdu[] = [];
  readonly #framer = new PduFramer(
    {
      onPdu: (b, at, _ahs, data) => {
        const header = Buffer.from(b.subarray(at, at + 48));
        this.#pdus.push({ opcode: opcodeOf(header), header, data: Buffer.from(data) });
      },
      onDataDigestError: () => {
        throw new Error('the target sent a wrong data digest');
      },
    },
    { maxDataSegment: 2 ** 24 - 1, maxAhs: 1020, pool: new BufferPool() },
  );

  constructor({ context }: Node, isid = Buffer.from('80aabbcc0001', 'hex'), sink = new MemorySink()) {
    this.isid = isid;
    this.sink = sink;
    this.connection = new TargetConnection({
      context,
      sink: this.sink,
      addresses: { local: PORTAL, remote: { address: '127.0.0.2', port: 50_000 } },
      host: {
        now: () => this.now,
        close: () => {
          this.closed = true;
        },
        changed: () => {},
        event: (event) => this.events.push(event),
      },
    });
  }

  /** Sends one PDU. */
  send(emit: (b: Buffer, at: number) => void, data: Buffer | null = null): void {
    this.#writer.send(emit, data);
    const bytes = Buffer.from(this.#out.take());
    if (this.spoilNext && data !== null) {
      bytes.writeUInt8(bytes.readUInt8(BHS_LENGTH) ^ 1, BHS_LENGTH);
      this.spoilNext = false;
    }
    this.raw(bytes);
  }
  /** Sends bytes as they are. */
  raw(bytes: Buffer): void {
    const owner = new RefBuffer(Buffer.from(bytes));
    this.connection.onBytes(owner.buffer, owner);
  }
  /** Everything that the target has sent since the last call. */
  receive(): Pdu[] {
    const bytes = this.sink.take();
    if (bytes.length > 0) this.#framer.onBytes(bytes, new RefBuffer(bytes));
    if (this.sink.wasHigh()) this.connection.onDrain();
    return this.#pdus.splice(0);
  }
  /** As `receive`, after everything that was promised has had time to happen. */
  async settle(): Promise<Pdu[]> {
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    return this.receive();
  }
  /** The answer, which must be exactly one PDU. */
  one(): Pdu {
    const pdus = this.receive();
    const [pdu] = pdus;
    if (pdu === undefined || pdus.length !== 1) throw new Error(`expected one PDU, got ${pdus.length}`);
    return pdu;
  }

  /** One Login Request and its answer. */
  login(
    pairs: readonly TextPair[],
    options: { csg?: number; nsg?: number; transit?: boolean; tsih?: number; versionMin?: number; cid?: number } = {},
  ): { response: LoginResponse; pairs: Map<string, string> } {
    const { csg = LoginStage.Operational, nsg = LoginStage.FullFeature, transit = true } = options;
    const { tsih = 0, versionMin = 0, cid = 1 } = options;
    const numbers = { itt: 1, cid, cmdSn: this.cmdSn, expStatSn: 0, versionMax: versionMin, versionMin, tsih };
    const request = { transit, continues: false, csg, nsg: transit ? nsg : 0, isid: this.isid, ...numbers };
    this.send((b, at) => emitLoginRequest(request, b, at), pairs.length > 0 ? emitText(pairs) : null);
    const { header, data } = this.one();
    return { response: parseLoginResponse(header), pairs: new Map(parseText(data)) };
  }
  /** The names of a normal session. */
  names(initiatorName = INITIATOR, targetName = TARGET): TextPair[] {
    return [
      ['InitiatorName', initiatorName],
      ['SessionType', 'Normal'],
      ['TargetName', targetName],
    ];
  }
  /** Straight to full feature phase, with `keys` besides the names. */
  logIn(keys: readonly TextPair[] = []): Map<string, string> {
    const { response, pairs } = this.login([...this.names(), ...keys]);
    if (response.statusClass !== 0) throw new Error(`login status ${response.statusClass} ${response.statusDetail}`);
    const hasDigest = pairs.get('DataDigest') === 'CRC32C';
    this.#writer.setDigests(false, hasDigest);
    this.#framer.setDigests(false, hasDigest);
    return pairs;
  }

  nextItt(): number {
    return this.#itt++;
  }
  /** A SCSI command; `cdb` in hex is padded with zeros. Returns its task tag. */
  command(
    cdb: string,
    options: {
      read?: number;
      write?: number;
      data?: Buffer;
      final?: boolean;
      lun?: number;
      itt?: number;
      cmdSn?: number;
      immediate?: boolean;
      attribute?: number;
    } = {},
  ): number {
    const { read = 0, write = 0, data = null, final = true, lun = 0, immediate = false, attribute = 1 } = options;
    const tag = options.itt ?? this.nextItt();
    const bytes = Buffer.alloc(16);
    Buffer.from(cdb.replace(/ /g, ''), 'hex').copy(bytes);
    const address = Buffer.alloc(8);
    address[1] = lun;
    const cmdSn = options.cmdSn ?? this.cmdSn;
    if (options.cmdSn === undefined && !immediate) this.cmdSn++;
    const pdu = {
      immediate,
      final,
      read: read > 0,
      write: write > 0,
      attribute,
      lun: address,
      itt: tag,
      expectedDataTransferLength: read || write,
      cmdSn,
      expStatSn: 0,
      cdb: bytes,
    };
    this.send((b, at) => emitScsiCommand(pdu, b, at), data);
    return tag;
  }
  /** A Data-Out PDU. */
  dataOut(itt: number, ttt: number, dataSn: number, bufferOffset: number, data: Buffer, final: boolean): void {
    const pdu = { final, lun: Buffer.alloc(8), itt, ttt, expStatSn: 0, dataSn, bufferOffset };
    this.send((b, at) => emitDataOut(pdu, b, at), data);
  }
  /** Takes the UNIT ATTENTION that every new nexus finds. */
  clearAttention(): void {
    this.command('00');
    this.one();
  }
}

/** Bytes that tell every position from every other nearby. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff;
  return bytes;
}
