// What a unit offers and how large its pieces may be: the attributes that LIO keeps for each storage object.
import type { BlockDevice } from '../block/block-device.js';
import { LIMITS } from './limits.js';

/** All of them may be left out: the default stands beside each. Numbers of blocks are logical blocks. */
export interface UnitFeatures {
  /** UNMAP (emulate_tpu). Default: whether the device can give space back; never more than that. */
  readonly unmap?: boolean;
  /** WRITE SAME with UNMAP (emulate_tpws). Default: as `unmap`'s. */
  readonly writeSameUnmap?: boolean;
  /** COMPARE AND WRITE (emulate_caw). Default true. */
  readonly compareAndWrite?: boolean;
  /** EXTENDED COPY and RECEIVE COPY RESULTS (emulate_3pc). Default true. */
  readonly extendedCopy?: boolean;
  /** Persistent reservations and RESERVE(6) (emulate_pr). Default true. */
  readonly reservations?: boolean;
  /**
   * WRITE ATOMIC(16): only true where a write of LIMITS.atomicWrite bytes is seen and kept whole or not at all, also over a
   * loss of power. Default false.
   */
  readonly atomicWrite?: boolean;
  /**
   * Acknowledges writes from the device's volatile cache, WCE (emulate_write_cache). False: every write is stable before its
   * status, and MODE SELECT cannot change that. Default true; means nothing where the device has no such cache.
   */
  readonly writeCache?: boolean;
  /** Refuses every change, for all initiators. Default false; the device's own state counts as well. */
  readonly readOnly?: boolean;
  /** T10 VENDOR IDENTIFICATION, 8 characters are shown. Default LUNCTL. */
  readonly vendor?: string;
  /** PRODUCT IDENTIFICATION, 16 characters are shown. Default: the unit's name. */
  readonly product?: string;
  /** PRODUCT REVISION LEVEL, 4 characters are shown. Default 1. */
  readonly revision?: string;
  /** Says that there is no spindle (is_nonrot). Default true. */
  readonly nonRotating?: boolean;
  /** Physical block size in bytes, ≥ the logical one. Default: the device's. */
  readonly physicalBlockSize?: number;
  /** OPTIMAL TRANSFER LENGTH (optimal_sectors). Default: the device's; 0 states none. */
  readonly optimalTransferBlocks?: number;
  /** MAXIMUM UNMAP LBA COUNT (max_unmap_lba_count), at most what this target takes. */
  readonly maxUnmapBlocks?: number;
  /** MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT (max_unmap_block_desc_count), at most what this target takes. */
  readonly maxUnmapDescriptors?: number;
  /** OPTIMAL UNMAP GRANULARITY (unmap_granularity). Default: 4096 bytes or a physical block. */
  readonly unmapGranularity?: number;
  /** UNMAP GRANULARITY ALIGNMENT (unmap_granularity_alignment). Default 0. */
  readonly unmapAlignment?: number;
  /** MAXIMUM WRITE SAME LENGTH (max_write_same_len), at most what this target takes. */
  readonly maxWriteSameBlocks?: number;
}

/** Every feature decided. */
export type ResolvedFeatures = Required<UnitFeatures>;

/** What `wanted` comes to on `device`, whose own abilities bound it. */
export function resolveFeatures(wanted: UnitFeatures, device: BlockDevice, name: string): ResolvedFeatures {
  const { blockSize, optimalIoSize } = device;
  const physicalBlockSize = Math.max(blockSize, wanted.physicalBlockSize ?? device.physicalBlockSize);
  const atMost = (value: number | undefined, most: number): number =>
    value === undefined || value <= 0 ? most : Math.min(value, most);
  return {
    unmap: device.canTrim && (wanted.unmap ?? true),
    writeSameUnmap: device.canTrim && (wanted.writeSameUnmap ?? wanted.unmap ?? true),
    compareAndWrite: wanted.compareAndWrite ?? true,
    extendedCopy: wanted.extendedCopy ?? true,
    reservations: wanted.reservations ?? true,
    atomicWrite: wanted.atomicWrite ?? false,
    writeCache: device.writeCache && (wanted.writeCache ?? true),
    readOnly: device.readOnly || (wanted.readOnly ?? false),
    vendor: wanted.vendor ?? 'LUNCTL',
    product: wanted.product ?? name,
    revision: wanted.revision ?? '1',
    nonRotating: wanted.nonRotating ?? true,
    physicalBlockSize,
    optimalTransferBlocks: Math.floor(
      Math.min(wanted.optimalTransferBlocks ?? optimalIoSize / blockSize, LIMITS.transfer / blockSize),
    ),
    maxUnmapBlocks: atMost(wanted.maxUnmapBlocks, LIMITS.unmapBlocks),
    maxUnmapDescriptors: atMost(wanted.maxUnmapDescriptors, LIMITS.unmapDescriptors),
    unmapGranularity: wanted.unmapGranularity || Math.max(device.physicalBlockSize, 4096) / blockSize,
    unmapAlignment: wanted.unmapAlignment ?? 0,
    maxWriteSameBlocks: atMost(wanted.maxWriteSameBlocks, LIMITS.transfer / blockSize),
  };
}
