// What one NBD client may ask of us. Everything that a client can make grow has its bound here.

export interface NbdLimits {
  /** Options that a client may send before it picks an export: so many, and some more for each export there is. */
  readonly options: number;
  readonly optionsOfExport: number;
  /** Longest option that is answered, in bytes: an export name of 4096 bytes and its info requests fit. */
  readonly optionLength: number;
  /** Longest option that is read to its end and refused with NBD_REP_ERR_TOO_BIG; a longer one ends the connection. */
  readonly optionDrain: number;
  /** Longest export name in bytes (proto.md "String encoding"). */
  readonly nameLength: number;
  /** Most queries of one LIST_META_CONTEXT or SET_META_CONTEXT: more are refused with NBD_REP_ERR_TOO_BIG. */
  readonly queries: number;
  /** Largest READ or WRITE in bytes. */
  readonly requestLength: number;
  /**
   * Smallest block that clients are told of, in bytes; null: the device's own. Every range is served in any case, but
   * libnbd's clients pass on only what they were told.
   */
  readonly smallestBlock: number | null;
  /** Largest WRITE payload that is read to its end and refused with EINVAL; a longer one ends the connection. */
  readonly payloadDrain: number;
  /** Extents of one BLOCK_STATUS reply. Clients ask again for the rest. */
  readonly extents: number;
  /** Requests started and not yet answered. */
  readonly requestsInFlight: number;
  /** Bytes that those requests read or write. */
  readonly bytesInFlight: number;
  /** From the connection to NBD_OPT_GO or NBD_OPT_EXPORT_NAME, in milliseconds, all together. */
  readonly handshakeMs: number;
  /** From `shutdown` to the end of the connection, whatever is in flight, in milliseconds. */
  readonly shutdownMs: number;
}

export const DEFAULT_LIMITS: NbdLimits = {
  options: 32,
  optionsOfExport: 4,
  optionLength: 8192,
  optionDrain: 65_536,
  nameLength: 4096,
  queries: 32,
  requestLength: 2 ** 25,
  smallestBlock: null,
  payloadDrain: 2 ** 26,
  extents: 1000,
  requestsInFlight: 128,
  bytesInFlight: 2 ** 25,
  handshakeMs: 10_000,
  shutdownMs: 10_000,
};
