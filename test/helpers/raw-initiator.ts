// The PDUs of an initiator that is no program of ours: for peers that stop in the middle, do not read, or lie.
import { connect, type Socket } from 'node:net';
import { emitDataOut } from '../../src/iscsi/wire/data-out.js';
import { emitLoginRequest } from '../../src/iscsi/wire/login-request.js';
import { emitNopOut } from '../../src/iscsi/wire/nop-out.js';
import { emitScsiCommand } from '../../src/iscsi/wire/scsi-command.js';
import { emitText, type TextPair } from '../../src/iscsi/wire/text.js';

const NO_LUN = Buffer.alloc(8);

/** A whole PDU without digests: header, data, padding. */
export function pduOf(emit: (b: Buffer, at: number) => void, data: Buffer = Buffer.alloc(0)): Buffer {
  const pdu = Buffer.alloc(48 + data.length + (-data.length & 3));
  emit(pdu, 0);
  pdu.writeUIntBE(data.length, 5, 3);
  data.copy(pdu, 48);
  return pdu;
}

export interface RawLogin {
  readonly isid?: Buffer;
  /** 0 security, 1 operational. Without `transit` the login stays there. */
  readonly csg?: number;
  readonly transit?: boolean;
}

/** One Login Request; from the operational stage it asks for full feature phase. CmdSN is 1. */
export function loginPdu(pairs: readonly TextPair[], options: RawLogin = {}): Buffer {
  const { isid = Buffer.from('800000010000', 'hex'), csg = 1, transit = true } = options;
  const numbers = { versionMax: 0, versionMin: 0, tsih: 0, itt: 1, cid: 0, cmdSn: 1, expStatSn: 0 };
  const nsg = transit ? (csg === 0 ? 1 : 3) : 0;
  return pduOf((b) => emitLoginRequest({ ...numbers, transit, continues: false, csg, nsg, isid }, b), emitText(pairs));
}

export function normalLogin(initiatorName: string, targetName: string, keys: readonly TextPair[] = []): TextPair[] {
  return [['InitiatorName', initiatorName], ['SessionType', 'Normal'], ['TargetName', targetName], ...keys];
}

export interface RawCommand {
  readonly itt: number;
  readonly cmdSn: number;
  readonly read?: number;
  readonly write?: number;
  readonly final?: boolean;
  readonly data?: Buffer;
}

/** A SCSI Command to LUN 0; `cdb` in hex is padded with zeros. */
export function commandPdu(cdb: string, command: RawCommand): Buffer {
  const { itt, cmdSn, read = 0, write = 0, final = true, data } = command;
  const bytes = Buffer.alloc(16);
  Buffer.from(cdb.replace(/ /g, ''), 'hex').copy(bytes);
  const flags = { immediate: false, final, read: read > 0, write: write > 0, attribute: 1 };
  const numbers = { lun: NO_LUN, itt, expectedDataTransferLength: read || write, cmdSn, expStatSn: 0, cdb: bytes };
  return pduOf((b) => emitScsiCommand({ ...flags, ...numbers }, b), data);
}

export function dataOutPdu(
  itt: number,
  ttt: number,
  dataSn: number,
  offset: number,
  data: Buffer,
  final: boolean,
): Buffer {
  const pdu = { final, lun: NO_LUN, itt, ttt, expStatSn: 0, dataSn, bufferOffset: offset };
  return pduOf((b) => emitDataOut(pdu, b), data);
}

/** A ping that is immediate and wants its data back. */
export function pingPdu(itt: number, cmdSn: number, data: Buffer): Buffer {
  return pduOf((b) => emitNopOut({ immediate: true, lun: NO_LUN, itt, ttt: 0xffffffff, cmdSn, expStatSn: 0 }, b), data);
}

/** A socket that sends what a test says and keeps what comes back, PDU by PDU. Without digests. */
export class RawSession {
  readonly socket: Socket;
  readonly #pdus: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  /** The other side has closed, or the connection is gone. */
  ended = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    const end = () => {
      this.ended = true;
      this.#wake();
    };
    this.socket.on('error', end).on('end', end).on('close', end);
    this.socket.on('data', (chunk) => this.#take(chunk));
  }
  send(...pdus: Buffer[]): void {
    for (const pdu of pdus) this.socket.write(pdu);
  }
  /** The next PDU, or null once the connection has ended. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const pdu = this.#pdus.shift();
      if (pdu !== undefined) return pdu;
      if (this.ended) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  /** Status-Class and Status-Detail of the answer to a login. */
  async login(pdu: Buffer): Promise<number> {
    this.send(pdu);
    return (await this.next())?.readUInt16BE(36) ?? -1;
  }
  /** The response byte and status of the next SCSI Response; -1 once the connection has ended. */
  async status(): Promise<number> {
    for (;;) {
      const pdu = await this.next();
      if (pdu === null) return -1;
      if (pdu[0] === 0x21) return pdu.readUInt16BE(2);
    }
  }
  close(): void {
    this.socket.destroy();
  }
  #take(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 48) {
      const length = 48 + ((bytes.readUIntBE(5, 3) + 3) & ~3);
      if (bytes.length < length) break;
      this.#pdus.push(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    this.#rest = bytes;
    this.#wake();
  }
}
