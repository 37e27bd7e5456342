// A disk of the fake server: bytes with an identity, and the answers that say which disk it is.

import { buildReadCapacity10, buildReadCapacity16, type Capacity } from '../../src/scsi/capacity.js';
import { type Cdb, parseCdb } from '../../src/scsi/cdb-parse.js';
import { CheckCondition, Senses } from '../../src/scsi/check-condition.js';
import { buildDesignators, naaDesignator, naaFromSerial } from '../../src/scsi/designator.js';
import { buildInquiry, DeviceType, Qualifier } from '../../src/scsi/inquiry.js';
import { buildModeSense } from '../../src/scsi/mode.js';
import { buildCachingPage } from '../../src/scsi/mode-pages.js';
import type { Sense } from '../../src/scsi/sense.js';
import { buildExtendedInquiry, buildSupportedPages, buildUnitSerial, VpdPage } from '../../src/scsi/vpd.js';
import { BLOCK } from '../helpers/fake-target.js';

export interface FakeDiskOptions {
  readonly sizeBytes?: number;
  /** VPD 80h; the NAA designator of VPD 83h is made of it. */
  readonly serial?: string;
  readonly writeCache?: boolean;
  readonly product?: string;
}

let made = 0;

/** Change its fields at any time: the next question is answered by what they are then. */
export class FakeDisk {
  bytes: Buffer;
  serial: string;
  writeCache: boolean;
  product: string;

  constructor(options: FakeDiskOptions = {}) {
    this.bytes = Buffer.alloc(options.sizeBytes ?? 2 ** 22);
    this.serial = options.serial ?? `fa1e${String(++made).padStart(12, '0')}`;
    this.writeCache = options.writeCache ?? true;
    this.product = options.product ?? 'FAKE DISK';
  }
  get blocks(): number {
    return this.bytes.length / BLOCK;
  }
  /** Another size from now on; what stays within it stays. */
  resize(sizeBytes: number): void {
    const bytes = Buffer.alloc(sizeBytes);
    this.bytes.copy(bytes);
    this.bytes = bytes;
  }

  /** Data or sense for a command that asks; null for reads, writes and flushes, which are not its own matter. */
  answer(cdb: Buffer): Buffer | Sense | null {
    try {
      const parsed = parseCdb(cdb);
      switch (parsed.kind) {
        case 'test-unit-ready':
          return Buffer.alloc(0);
        case 'inquiry':
          return this.#inquiry(parsed).subarray(0, parsed.allocationLength);
        case 'read-capacity-10':
          return buildReadCapacity10(this.#capacity);
        case 'read-capacity-16':
          return buildReadCapacity16(this.#capacity).subarray(0, parsed.allocationLength);
        case 'mode-sense':
          return this.#modeSense(parsed).subarray(0, parsed.allocationLength);
        case 'read':
        case 'write':
        case 'synchronize-cache':
          return null;
        default:
          return Senses.InvalidOpcode;
      }
    } catch (error) {
      if (error instanceof CheckCondition) return error.sense;
      throw error;
    }
  }
  /** Whether a READ(16) or WRITE(16) lies within the disk. */
  holds(cdb: Buffer): boolean {
    return Number(cdb.readBigUInt64BE(2)) + cdb.readUInt32BE(10) <= this.blocks;
  }

  get #capacity(): Capacity {
    return {
      blocks: this.blocks,
      blockSize: BLOCK,
      physicalBlockSize: BLOCK,
      lowestAlignedLba: 0,
      protectionType: 0,
      thin: false,
      unmappedReadsZero: false,
    };
  }
  #inquiry({ page }: Extract<Cdb, { kind: 'inquiry' }>): Buffer {
    switch (page) {
      case null:
        return standardInquiry(this.product);
      case VpdPage.SupportedPages:
        return buildSupportedPages([
          VpdPage.SupportedPages,
          VpdPage.UnitSerialNumber,
          VpdPage.DeviceIdentification,
          VpdPage.ExtendedInquiry,
        ]);
      case VpdPage.UnitSerialNumber:
        return buildUnitSerial(this.serial);
      case VpdPage.DeviceIdentification:
        return buildDesignators([naaDesignator(naaFromSerial(this.serial))]);
      case VpdPage.ExtendedInquiry:
        return buildExtendedInquiry({
          headOfQueue: false,
          ordered: false,
          simple: true,
          nonVolatileCache: false,
          volatileCache: this.writeCache,
          nexusClear: true,
        });
      default:
        throw new CheckCondition('SPC-4 §6.6', Senses.InvalidFieldInCdb);
    }
  }
  #modeSense({ size }: Extract<Cdb, { kind: 'mode-sense' }>): Buffer {
    const page = buildCachingPage({ writeCache: this.writeCache, readCacheDisabled: false, readAheadDisabled: false });
    return buildModeSense({ size, writeProtected: false, dpoFua: true, blockDescriptor: null, pages: [page] });
  }
}

function standardInquiry(product: string): Buffer {
  return buildInquiry({
    qualifier: Qualifier.Connected,
    deviceType: DeviceType.Block,
    removable: false,
    version: 6,
    normAca: false,
    hiSup: true,
    tpgs: 0,
    thirdPartyCopy: false,
    protect: false,
    multiPort: false,
    commandQueuing: true,
    vendor: 'TEST',
    product,
    revision: '1',
    versionDescriptors: [],
  });
}

/** What INQUIRY of a LUN without a unit says (SPC-4 §6.6.2: qualifier 3, type 1Fh). */
export function noUnitInquiry(): Buffer {
  const data = standardInquiry('');
  data[0] = 0x7f;
  return data;
}
