// The attributes of a storage object as features of its logical unit.
import type { Settings, StorageObject } from '../../saveconfig/model.js';
import type { UnitFeatures } from '../../target/unit-features.js';

/** In bytes; the logical block is at least as large. */
const SMALLEST_BLOCK = 512;

/** What the object does not say is left to the device. */
export function unitFeatures(object: StorageObject): UnitFeatures {
  const { attributes } = object;
  return dropUndefined({
    unmap: flag(attributes, 'emulate_tpu'),
    writeSameUnmap: flag(attributes, 'emulate_tpws'),
    compareAndWrite: flag(attributes, 'emulate_caw'),
    // Memory is written in one go: nobody sees or keeps half of such a write.
    atomicWrite: object.plugin === 'ramdisk' ? true : undefined,
    extendedCopy: flag(attributes, 'emulate_3pc'),
    reservations: flag(attributes, 'emulate_pr'),
    // LIO asks the device of a `block` object and ignores the attribute.
    writeCache: object.plugin === 'block' ? undefined : flag(attributes, 'emulate_write_cache'),
    // A file has no physical blocks, and like LIO we claim none for it: page B0h says that it is best written in pages.
    physicalBlockSize: object.plugin === 'fileio' ? SMALLEST_BLOCK : undefined,
    nonRotating: flag(attributes, 'is_nonrot'),
    optimalTransferBlocks: positive(attributes, 'optimal_sectors'),
    maxUnmapBlocks: positive(attributes, 'max_unmap_lba_count'),
    maxUnmapDescriptors: positive(attributes, 'max_unmap_block_desc_count'),
    unmapGranularity: positive(attributes, 'unmap_granularity'),
    unmapAlignment: positive(attributes, 'unmap_granularity_alignment'),
    maxWriteSameBlocks: positive(attributes, 'max_write_same_len'),
  });
}

function flag(attributes: Settings, name: string): boolean | undefined {
  const value = attributes[name];
  return value === undefined ? undefined : Number(value) !== 0;
}
/** 0 stands for "no value of its own". */
function positive(attributes: Settings, name: string): number | undefined {
  const value = Number(attributes[name] ?? 0);
  return Number.isInteger(value) && value > 0 ? value : undefined;
}

type WithUndefined<T> = { [key in keyof T]: T[key] | undefined };
function dropUndefined(features: WithUndefined<UnitFeatures>): UnitFeatures {
  return Object.fromEntries(Object.entries(features).filter(([, value]) => value !== undefined));
}
