// Cuts one direction of an iSCSI connection into whole PDUs (RFC 7143 §11.2), with its own few lines of parsing: a fault
// bench must not trust the framer that it tests.

/** One PDU as it passed: `bytes` is all of it, the digests included. */
export interface PassingPdu {
  /** Without the immediate bit. */
  readonly opcode: number;
  readonly bytes: Buffer;
  /** Where its data segment starts in `bytes`, and how long it is without padding. */
  readonly dataAt: number;
  readonly dataLength: number;
}

export interface DigestUse {
  header: boolean;
  data: boolean;
}

const BHS = 48;
/** No peer sends such a segment: what says so is no iSCSI, and is passed on as it is. */
const LARGEST_SEGMENT = 2 ** 24;

export class PduSplitter {
  #rest: Buffer = Buffer.alloc(0);
  #raw = false;

  constructor(private readonly digests: DigestUse) {}

  /** Bytes of a PDU whose end has not come. */
  get rest(): Buffer {
    return this.#rest;
  }

  /** Whole PDUs in `chunk` and what waited before it. A Buffer instead of a PDU is what cannot be one. */
  *split(chunk: Buffer): Generator<PassingPdu | Buffer> {
    if (this.#raw) {
      yield chunk;
      return;
    }
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let pdu = this.#next(); pdu !== null; pdu = this.#next()) yield pdu;
    if (!this.#raw) return;
    yield this.#rest;
    this.#rest = Buffer.alloc(0);
  }

  #next(): PassingPdu | null {
    const bytes = this.#rest;
    if (bytes.length < BHS || this.#raw) return null;
    const opcode = bytes.readUInt8(0) & 0x3f;
    const login = opcode === 0x03 || opcode === 0x23;
    const dataLength = bytes.readUIntBE(5, 3);
    if (dataLength >= LARGEST_SEGMENT) {
      this.#raw = true;
      return null;
    }
    const ahs = bytes.readUInt8(4) * 4;
    const dataAt = BHS + ahs + (this.digests.header && !login ? 4 : 0);
    const digest = this.digests.data && !login && dataLength > 0 ? 4 : 0;
    const end = dataAt + Math.ceil(dataLength / 4) * 4 + digest;
    if (bytes.length < end) return null;
    this.#rest = bytes.subarray(end);
    return { opcode, bytes: bytes.subarray(0, end), dataAt, dataLength };
  }
}
