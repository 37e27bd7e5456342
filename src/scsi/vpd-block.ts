// The VPD pages of block devices, SBC-3 §6.6: B0h block limits, B1h characteristics, B2h logical block provisioning.
import { readU64, writeU64 } from './u64.js';
import { buildVpd, VpdPage, vpdBody } from './vpd.js';

/** `body` extended with zeros to `length`: fields that an older or shorter page lacks say "not reported". */
function padded(body: Buffer, length: number): Buffer {
  if (body.length >= length) return body;
  const b = Buffer.alloc(length);
  body.copy(b);
  return b;
}

/** Block limits, in logical blocks; 0 means not reported unless said otherwise. */
export interface BlockLimits {
  /** WSNZ: WRITE SAME with a count of 0 is refused. */
  readonly writeSameNonZero: boolean;
  /** 0: no COMPARE AND WRITE. */
  readonly maxCompareAndWrite: number;
  readonly optimalTransferGranularity: number;
  readonly maxTransfer: number;
  readonly optimalTransfer: number;
  readonly maxPrefetch: number;
  /** FFFFFFFFh: no limit; 0: no UNMAP. */
  readonly maxUnmapBlocks: number;
  /** FFFFFFFFh: no limit; 0: no UNMAP. */
  readonly maxUnmapDescriptors: number;
  readonly optimalUnmapGranularity: number;
  /** null where UGAVALID is 0. */
  readonly unmapAlignment: number | null;
  /** OUT_OF_RANGE (u64.ts) above 2^53 − 1, as good as no limit. */
  readonly maxWriteSame: number;
  /** MAXIMUM ATOMIC TRANSFER LENGTH; 0: no WRITE ATOMIC. Alignment and granularity are 0: one block. */
  readonly maxAtomic: number;
}

export function parseBlockLimits(data: Buffer): BlockLimits {
  const b = padded(vpdBody(data, VpdPage.BlockLimits), 60);
  const alignment = b.readUInt32BE(28);
  return {
    writeSameNonZero: (b.readUInt8(0) & 1) !== 0,
    maxCompareAndWrite: b.readUInt8(1),
    optimalTransferGranularity: b.readUInt16BE(2),
    maxTransfer: b.readUInt32BE(4),
    optimalTransfer: b.readUInt32BE(8),
    maxPrefetch: b.readUInt32BE(12),
    maxUnmapBlocks: b.readUInt32BE(16),
    maxUnmapDescriptors: b.readUInt32BE(20),
    optimalUnmapGranularity: b.readUInt32BE(24),
    unmapAlignment: alignment >= 0x8000_0000 ? alignment - 0x8000_0000 : null,
    maxWriteSame: readU64(b, 32),
    maxAtomic: b.readUInt32BE(40),
  };
}

/** Page B0h, 64 bytes. */
export function buildBlockLimits(limits: BlockLimits): Buffer {
  const b = Buffer.alloc(60);
  b[0] = limits.writeSameNonZero ? 1 : 0;
  b.writeUInt8(limits.maxCompareAndWrite, 1);
  b.writeUInt16BE(limits.optimalTransferGranularity, 2);
  b.writeUInt32BE(limits.maxTransfer, 4);
  b.writeUInt32BE(limits.optimalTransfer, 8);
  b.writeUInt32BE(limits.maxPrefetch, 12);
  b.writeUInt32BE(limits.maxUnmapBlocks, 16);
  b.writeUInt32BE(limits.maxUnmapDescriptors, 20);
  b.writeUInt32BE(limits.optimalUnmapGranularity, 24);
  if (limits.unmapAlignment !== null) b.writeUInt32BE(0x8000_0000 + limits.unmapAlignment, 28);
  writeU64(b, 32, limits.maxWriteSame);
  b.writeUInt32BE(limits.maxAtomic, 40);
  return buildVpd(VpdPage.BlockLimits, b);
}

/** WABEREQ: what a read finds after SANITIZE BLOCK ERASE and before a write, SBC-3 §6.6.2. */
export const AfterErase = { NotOffered: 0, Readable: 1, Error: 2, WriteRequired: 3 } as const;

/** Block device characteristics. */
export interface BlockCharacteristics {
  /** 0 not reported, 1 does not rotate, else revolutions per minute. */
  readonly rotationRate: number;
  /** NOMINAL FORM FACTOR: 0 not reported, 2 3.5", 3 2.5" … */
  readonly formFactor: number;
  /** One of AfterErase. */
  readonly wabereq: number;
}

export function parseBlockCharacteristics(data: Buffer): BlockCharacteristics {
  const b = padded(vpdBody(data, VpdPage.BlockDeviceCharacteristics), 4);
  return { rotationRate: b.readUInt16BE(0), formFactor: b.readUInt8(3) & 0x0f, wabereq: b.readUInt8(3) >> 6 };
}

/** Page B1h, 64 bytes. */
export function buildBlockCharacteristics(characteristics: BlockCharacteristics): Buffer {
  const b = Buffer.alloc(60);
  b.writeUInt16BE(characteristics.rotationRate, 0);
  b[3] = ((characteristics.wabereq & 3) << 6) | (characteristics.formFactor & 0x0f);
  return buildVpd(VpdPage.BlockDeviceCharacteristics, b);
}

/** PROVISIONING TYPE of page B2h. */
export const ProvisioningType = { Unknown: 0, Resource: 1, Thin: 2 } as const;

export interface Provisioning {
  /** Threshold sets are 2 to this power of blocks; 0: none. */
  readonly thresholdExponent: number;
  /** LBPU, LBPWS, LBPWS10: which commands unmap. */
  readonly unmap: boolean;
  readonly writeSame16: boolean;
  readonly writeSame10: boolean;
  /** LBPRZ: unmapped blocks read as zeros. SBC-4's other values (a vendor's pattern) count as no. */
  readonly readsZero: boolean;
  readonly anchor: boolean;
  /** One of ProvisioningType. */
  readonly type: number;
}

export function parseProvisioning(data: Buffer): Provisioning {
  const b = padded(vpdBody(data, VpdPage.LogicalBlockProvisioning), 4);
  const flags = b.readUInt8(1);
  return {
    thresholdExponent: b.readUInt8(0),
    unmap: (flags & 0x80) !== 0,
    writeSame16: (flags & 0x40) !== 0,
    writeSame10: (flags & 0x20) !== 0,
    readsZero: (flags & 0x04) !== 0,
    anchor: (flags & 0x02) !== 0,
    type: b.readUInt8(2) & 7,
  };
}

/** Page B2h, 8 bytes. */
export function buildProvisioning(p: Provisioning): Buffer {
  const b = Buffer.alloc(4);
  b[0] = p.thresholdExponent;
  b[1] =
    (p.unmap ? 0x80 : 0) |
    (p.writeSame16 ? 0x40 : 0) |
    (p.writeSame10 ? 0x20 : 0) |
    (p.readsZero ? 0x04 : 0) |
    (p.anchor ? 0x02 : 0);
  b[2] = p.type & 7;
  return buildVpd(VpdPage.LogicalBlockProvisioning, b);
}
