// What is behind a target: its LUNs, their identity, size, cache and write protection (SPC-4 §6, §7.8; SBC-3 §5, §6).

import { type Capacity, parseReadCapacity10, parseReadCapacity16 } from '../scsi/capacity.js';
import { putReadCapacity10, putReadCapacity16 } from '../scsi/cdb.js';
import { PageControl, putInquiry, putModeSense6, putModeSense10, putReportLuns } from '../scsi/cdb-primary.js';
import { designatorToText, isWorldwideUnique, parseDesignators, preferredDesignator } from '../scsi/designator.js';
import { DeviceType, type Inquiry, parseInquiry, Qualifier } from '../scsi/inquiry.js';
import { encodeLun, parseReportLuns, type ReportedLun } from '../scsi/lun.js';
import { ModePageCode, type ModeParameters, parseModeSense } from '../scsi/mode.js';
import { hasWriteCache } from '../scsi/mode-pages.js';
import { ScsiStatus } from '../scsi/status.js';
import { parseExtendedInquiry, parseSupportedPages, parseUnitSerial, VpdPage } from '../scsi/vpd.js';
import { type BlockLimits, type Provisioning, parseBlockLimits, parseProvisioning } from '../scsi/vpd-block.js';
import { messageOf } from '../util/errors.js';
import { Questioner, Refusal } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** A logical unit as its own answers describe it. */
export interface LunInfo {
  /** SAM LUN as a number, and the eight bytes that address it. */
  readonly lun: number;
  readonly address: Buffer;
  /** Only 00h (direct access) is exported. */
  readonly deviceType: number;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  readonly serial: string;
  /** `naa.…`, `eui.…`, `t10.…` or empty. */
  readonly designator: string;
  /** Whether no other unit of the world has this designator, so that equal ones are two ways to one unit. */
  readonly worldwide: boolean;
  /** Null where the unit is no disk, or could not be asked: `problem` says why. */
  readonly disk: DiskInfo | null;
  readonly problem: string | null;
}

export interface DiskInfo {
  readonly blocks: number;
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  /** Bytes, 0 where none is stated. */
  readonly optimalIoSize: number;
  /** Bytes of one command, 0 where no limit is stated. */
  readonly maxTransfer: number;
  readonly readOnly: boolean;
  readonly writeCache: boolean;
  /** READ and WRITE take the FUA bit. */
  readonly dpofua: boolean;
  /** The unit answers READ CAPACITY(10) only: it gets 10-byte commands. */
  readonly use10: boolean;
  readonly thin: {
    readonly unmap: boolean;
    readonly writeSameUnmap: boolean;
    readonly readsZeros: boolean;
    /** Blocks of one UNMAP, 0 where no limit is stated. */
    readonly maxUnmapBlocks: number;
    /** Blocks of one WRITE SAME, 0 where no limit is stated. */
    readonly maxWriteSameBlocks: number;
    /** Blocks that are given back together, and the first of such a group; nothing where none is stated. */
    readonly granule?: { readonly blocks: number; readonly alignment: number };
  };
  /** VPD 86h NV_SUP: the cache keeps its contents without power. */
  readonly nonVolatileCache: boolean;
}

/** LUNs that are asked; a target that names more is cut off here. */
const MOST_LUNS = 1024;
const REPORT_FIRST = 16 + 8 * 64;
const REPORT_LARGEST = 8 + 8 * MOST_LUNS;

/** Finds and questions every LUN, in ascending order. Each command is bounded by `timeoutMs`. Rejects with AppError if the session is lost. */
export async function probeLuns(session: InitiatorSession, timeoutMs: number): Promise<LunInfo[]> {
  const found: LunInfo[] = [];
  for (const reported of (await reportLuns(session, timeoutMs)) ?? [{ lun: 0, address: encodeLun(0) }]) {
    found.push(await probeLun(session, reported, timeoutMs));
  }
  return found.sort((a, b) => a.lun - b.lun);
}

/** REPORT LUNS, asked again when the list is longer than the room; null from a target that does not know it. */
export async function reportLuns(session: InitiatorSession, timeoutMs: number): Promise<readonly ReportedLun[] | null> {
  const unit = new Questioner(session, encodeLun(0), timeoutMs);
  const ask = (length: number): Promise<Buffer> => unit.read((b) => putReportLuns(b, 0, length), length);
  try {
    let list = parseReportLuns(await ask(REPORT_FIRST));
    if (list.completeLength > REPORT_FIRST) {
      list = parseReportLuns(await ask(Math.min(REPORT_LARGEST, list.completeLength)));
    }
    const byNumber = new Map(list.luns.slice(0, MOST_LUNS).map((entry) => [entry.lun, entry]));
    return [...byNumber.values()];
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

type Identity = Omit<LunInfo, 'disk' | 'problem'>;

/** One LUN. What it refuses ends in `problem`; only the loss of the session rejects. */
export async function probeLun(session: InitiatorSession, reported: ReportedLun, timeoutMs: number): Promise<LunInfo> {
  const unit = new Questioner(session, reported.address, timeoutMs);
  const unknown = { deviceType: DeviceType.Unknown, vendor: '', product: '', revision: '' };
  const nameless = { serial: '', designator: '', worldwide: false };
  let identity: Identity = { ...reported, ...unknown, ...nameless };
  try {
    const info = await questionLun(unit, reported, (known) => {
      identity = known;
    });
    const blockSize = info.disk?.blockSize ?? 512;
    if (blockSize === 512 || blockSize === 4096) return info;
    return { ...identity, disk: null, problem: `blocks of ${blockSize} bytes are not supported` };
  } catch (error) {
    if (session.state !== 'LOGGED_IN') throw error;
    return { ...identity, disk: null, problem: messageOf(error) };
  }
}

/**
 * Asks a unit all about itself, whatever its block size. `learn` hears who it is before it is asked about its disk. Rejects
 * with Refusal where the unit answers badly, `kind` no-such-lun where there is none.
 */
export async function questionLun(
  unit: Questioner,
  { lun, address }: ReportedLun,
  learn: (identity: Identity) => void = () => {},
): Promise<LunInfo> {
  const inquiry = parseInquiry(await unit.read((b) => putInquiry(b, 0, null, 255), 255));
  const { deviceType, vendor, product, revision } = inquiry;
  const named = { lun, address, deviceType, vendor, product, revision };
  const nameless = { ...named, serial: '', designator: '', worldwide: false };
  learn(nameless);
  if (inquiry.qualifier !== Qualifier.Connected) {
    throw new Refusal('no unit is connected at this LUN', ScsiStatus.Good, 'no-such-lun');
  }
  const problem = notADisk(inquiry);
  if (problem !== null) return { ...nameless, disk: null, problem };
  const pages = await readPages(unit);
  const { serial, designator, worldwide } = pages;
  const identity = { ...named, serial, designator, worldwide };
  learn(identity);
  return { ...identity, disk: await readDisk(unit, pages), problem: null };
}

function notADisk({ deviceType }: Inquiry): string | null {
  if (deviceType === DeviceType.Block) return null;
  return `a device of type 0x${deviceType.toString(16).padStart(2, '0')}, not a disk`;
}

interface Pages {
  readonly serial: string;
  readonly designator: string;
  readonly worldwide: boolean;
  readonly limits: BlockLimits | null;
  readonly provisioning: Provisioning | null;
  readonly nonVolatileCache: boolean;
}

/** The VPD pages that the unit says it has; one that it then refuses, or spoils, counts as absent. */
async function readPages(unit: Questioner): Promise<Pages> {
  const supported = (await readPage(unit, VpdPage.SupportedPages, parseSupportedPages)) ?? [];
  const page = <T>(code: number, parse: (data: Buffer) => T): Promise<T | null> =>
    supported.includes(code) ? readPage(unit, code, parse) : Promise.resolve(null);
  const designators = await page(VpdPage.DeviceIdentification, parseDesignators);
  const best = designators === null ? undefined : preferredDesignator(designators);
  return {
    serial: (await page(VpdPage.UnitSerialNumber, parseUnitSerial)) ?? '',
    designator: best === undefined ? '' : designatorToText(best),
    worldwide: best !== undefined && isWorldwideUnique(best),
    limits: await page(VpdPage.BlockLimits, parseBlockLimits),
    provisioning: await page(VpdPage.LogicalBlockProvisioning, parseProvisioning),
    nonVolatileCache: (await page(VpdPage.ExtendedInquiry, parseExtendedInquiry))?.nonVolatileCache ?? false,
  };
}

async function readPage<T>(unit: Questioner, code: number, parse: (data: Buffer) => T): Promise<T | null> {
  const length = code === VpdPage.DeviceIdentification ? 4096 : 255;
  return unit.optional(() => unit.read((b) => putInquiry(b, 0, code, length), length), parse);
}

async function readDisk(unit: Questioner, pages: Pages): Promise<DiskInfo> {
  await unit.ready();
  const { capacity, use10 } = await readCapacity(unit);
  const { blocks, blockSize, physicalBlockSize } = capacity;
  const mode = await readMode(unit);
  const { limits, provisioning } = pages;
  return {
    blocks,
    blockSize,
    physicalBlockSize,
    optimalIoSize: (limits?.optimalTransfer ?? 0) * blockSize,
    maxTransfer: (limits?.maxTransfer ?? 0) * blockSize,
    readOnly: mode?.writeProtected ?? false,
    writeCache: mode === null ? true : hasWriteCache(mode),
    dpofua: mode?.dpoFua ?? false,
    use10,
    thin: {
      unmap: (provisioning?.unmap ?? false) && limits?.maxUnmapDescriptors !== 0,
      writeSameUnmap: provisioning?.writeSame16 ?? false,
      readsZeros: capacity.unmappedReadsZero || (provisioning?.readsZero ?? false),
      maxUnmapBlocks: limits?.maxUnmapBlocks ?? 0,
      maxWriteSameBlocks: Math.max(0, limits?.maxWriteSame ?? 0),
      ...granuleOf(limits),
    },
    nonVolatileCache: pages.nonVolatileCache,
  };
}

function granuleOf(limits: BlockLimits | null): Pick<DiskInfo['thin'], 'granule'> {
  const blocks = limits?.optimalUnmapGranularity ?? 0;
  return blocks > 1 ? { granule: { blocks, alignment: limits?.unmapAlignment ?? 0 } } : {};
}

/** (16) first, because it alone tells the physical block size; units that do not know it are small. */
async function readCapacity(unit: Questioner): Promise<{ capacity: Capacity; use10: boolean }> {
  const wide = await unit.optional(() => unit.read((b) => putReadCapacity16(b, 0), 32), parseReadCapacity16);
  if (wide !== null) return { capacity: wide, use10: false };
  const capacity = parseReadCapacity10(await unit.read((b) => putReadCapacity10(b, 0), 8));
  if (capacity === null) throw new Refusal('larger than READ CAPACITY(10) can tell, and READ CAPACITY(16) is refused');
  return { capacity, use10: true };
}

/** The caching page, or all pages where that one is refused: write protection and DPOFUA stand in the header of either. */
async function readMode(unit: Questioner): Promise<ModeParameters | null> {
  const pageControl = PageControl.Current;
  for (const page of [ModePageCode.Caching, ModePageCode.All]) {
    const request = { page, pageControl, noBlockDescriptor: true };
    const short = await unit.optional(
      () => unit.read((b) => putModeSense6(b, 0, request, 255), 255),
      (data) => parseModeSense(data, 6),
    );
    if (short !== null) return short;
    const long = await unit.optional(
      () => unit.read((b) => putModeSense10(b, 0, request, 1024), 1024),
      (data) => parseModeSense(data, 10),
    );
    if (long !== null) return long;
  }
  return null;
}
