// Puts PDUs on a transmit sink: lengths, padding and digests, RFC 7143 §11.1, §11.2 and §13.1.
import type { RefBuffer } from '../../util/ref-buffer.js';
import type { TransmitSink } from '../../util/stream.js';

export declare class PduWriter {
  constructor(sink: TransmitSink);
  /** Switches the digests from the next PDU on. */
  setDigests(header: boolean, data: boolean): void;
  /** Claims room for a PDU; returns where in `slab` its 48-byte header belongs. `end` must follow before anything else. */
  begin(dataLength: number, ahs?: Buffer): number;
  /** The memory of the PDU begun. */
  readonly slab: Buffer;
  /** Where in `slab` the data of the PDU begun belongs, when dataLength is at most COPY_LARGEST: for data made in place. */
  readonly dataAt: number;
  /**
   * Finishes the PDU. `data` (exactly `dataLength` bytes) is copied up to COPY_LARGEST, larger goes by reference and
   * `owner` is retained; with a null owner a larger one must never change. null data: the caller has filled `slab` at `dataAt`.
   */
  end(data: Buffer | null, owner: RefBuffer | null): void;
  /** begin, emit, end in one, for PDUs that are not hot. */
  send(emit: (b: Buffer, at: number) => void, data?: Buffer | null, ahs?: Buffer): void;
}
