// The numbers of the NBD protocol, under their names in proto.md ("Values"). Unknown codes stay numbers.

/** 64-bit magics as two halves, so that no BigInt is needed. */
export const Magic = {
  /** 'NBDMAGIC', the greeting. */
  nbd: [0x4e42_444d, 0x4147_4943],
  /** 'IHAVEOPT', the newstyle greeting and every option. */
  option: [0x4948_4156, 0x454f_5054],
  optionReply: [0x0003_e889, 0x0455_65a9],
} as const;

export const REQUEST_MAGIC = 0x2560_9513;
export const SIMPLE_REPLY_MAGIC = 0x6744_6698;
export const STRUCTURED_REPLY_MAGIC = 0x668e_33ef;

/** "Handshake flags" and "Client flags": the same two bits. */
export const HandshakeFlag = { FixedNewstyle: 1, NoZeroes: 2 } as const;

/** "Transmission flags". */
export const TransmissionFlag = {
  HasFlags: 1 << 0,
  ReadOnly: 1 << 1,
  SendFlush: 1 << 2,
  SendFua: 1 << 3,
  Rotational: 1 << 4,
  SendTrim: 1 << 5,
  SendWriteZeroes: 1 << 6,
  SendDf: 1 << 7,
  CanMultiConn: 1 << 8,
  SendCache: 1 << 10,
  SendFastZero: 1 << 11,
} as const;

/** "Option types". */
export const Option = {
  ExportName: 1,
  Abort: 2,
  List: 3,
  StartTls: 5,
  Info: 6,
  Go: 7,
  StructuredReply: 8,
  ListMetaContext: 9,
  SetMetaContext: 10,
  ExtendedHeaders: 11,
} as const;

/** "Option reply types". Errors have bit 31 set. */
export const OptionReply = {
  Ack: 1,
  Server: 2,
  Info: 3,
  MetaContext: 4,
  ErrUnsup: 0x8000_0001,
  ErrPolicy: 0x8000_0002,
  ErrInvalid: 0x8000_0003,
  ErrTlsReqd: 0x8000_0005,
  ErrUnknown: 0x8000_0006,
  ErrTooBig: 0x8000_0009,
} as const;
export type OptionReply = (typeof OptionReply)[keyof typeof OptionReply];

/** The information types of NBD_REP_INFO. */
export const Info = { Export: 0, Name: 1, Description: 2, BlockSize: 3 } as const;

/** "Request types". */
export const Command = {
  Read: 0,
  Write: 1,
  Disc: 2,
  Flush: 3,
  Trim: 4,
  Cache: 5,
  WriteZeroes: 6,
  BlockStatus: 7,
} as const;

/** "Command flags". */
export const CommandFlag = { Fua: 1 << 0, NoHole: 1 << 1, Df: 1 << 2, ReqOne: 1 << 3, FastZero: 1 << 4 } as const;

/** "Structured reply flags" and "Structured reply types". */
export const ReplyFlag = { Done: 1 } as const;
export const ReplyType = {
  None: 0,
  OffsetData: 1,
  OffsetHole: 2,
  BlockStatus: 5,
  Error: 0x8001,
  ErrorOffset: 0x8002,
} as const;

/** Flags of an extent in the context base:allocation. */
export const AllocationFlag = { Hole: 1, Zero: 2 } as const;

/** The name of a code in one of the tables above, or the code itself, for messages. */
export function nameOf(table: Readonly<Record<string, number>>, code: number): string {
  return Object.keys(table).find((name) => table[name] === code) ?? String(code);
}
