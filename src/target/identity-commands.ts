// What a unit says about itself: INQUIRY and VPD, capacity, LUNs, supported commands (SPC-4 §6, §7.8; SBC-3 §5.15, §6.6).
import { buildReadCapacity10, buildReadCapacity16 } from '../scsi/capacity.js';
import type { PrimaryCdb } from '../scsi/cdb-parse.js';
import { invalidFieldInCdb, Senses } from '../scsi/check-condition.js';
import {
  Association,
  buildDesignators,
  nameStringDesignator,
  relativePortDesignator,
  targetPortGroupDesignator,
} from '../scsi/designator.js';
import { buildInquiry, DeviceType, type Inquiry, Qualifier, Tpgs } from '../scsi/inquiry.js';
import { buildReportLuns } from '../scsi/lun.js';
import { buildAllOpcodes, buildOneOpcode, buildSupportedTmfs } from '../scsi/report-opcodes.js';
import { buildDescriptorSense, buildFixedSense } from '../scsi/sense.js';
import { buildExtendedInquiry, buildSupportedPages, buildUnitSerial, VpdPage } from '../scsi/vpd.js';
import {
  AfterErase,
  buildBlockCharacteristics,
  buildBlockLimits,
  buildProvisioning,
  ProvisioningType,
} from '../scsi/vpd-block.js';
import { reply } from './block-commands.js';
import { unitDesignators } from './designators.js';
import { LIMITS } from './limits.js';
import { offeredCommands } from './offered.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type CdbOf<K extends PrimaryCdb['kind']> = Extract<PrimaryCdb, { kind: K }>;

/** SAM-5, SPC-4, SBC-3, iSCSI (SPC-4 table 142). */
const VERSION_DESCRIPTORS = [0x00a0, 0x0460, 0x04c0, 0x0960] as const;

/** What INQUIRY says where there is no unit (SPC-4 §6.6.2). */
export const NO_UNIT_INQUIRY: Inquiry = {
  qualifier: Qualifier.NotPossible,
  deviceType: DeviceType.Unknown,
  removable: false,
  version: 6,
  normAca: false,
  hiSup: true,
  tpgs: 0,
  thirdPartyCopy: false,
  protect: false,
  multiPort: false,
  commandQueuing: true,
  vendor: 'LUNCTL',
  product: '',
  revision: '1',
  versionDescriptors: [],
};

function inquiryData({ features }: Unit): Inquiry {
  return {
    ...NO_UNIT_INQUIRY,
    qualifier: Qualifier.Connected,
    deviceType: DeviceType.Block,
    tpgs: Tpgs.Implicit,
    thirdPartyCopy: features.extendedCopy,
    vendor: features.vendor,
    product: features.product,
    revision: features.revision,
    versionDescriptors: VERSION_DESCRIPTORS,
  };
}

export function inquiry(unit: Unit, task: ScsiTask, cdb: CdbOf<'inquiry'>): undefined {
  if (cdb.page === null) {
    reply(task, buildInquiry(inquiryData(unit)), cdb.allocationLength);
    return;
  }
  const build = PAGES.get(cdb.page);
  if (build === undefined) throw invalidFieldInCdb('SPC-4 §6.6', 2);
  reply(task, build(unit, task), cdb.allocationLength);
}

type PageBuilder = (unit: Unit, task: ScsiTask) => Buffer;
const PAGES: ReadonlyMap<number, PageBuilder> = new Map<number, PageBuilder>([
  [VpdPage.SupportedPages, () => buildSupportedPages([...PAGES.keys()])],
  [VpdPage.UnitSerialNumber, (unit) => buildUnitSerial(unit.serial)],
  [VpdPage.DeviceIdentification, deviceIdentification],
  [VpdPage.ExtendedInquiry, extendedInquiry],
  [VpdPage.BlockLimits, blockLimits],
  [VpdPage.BlockDeviceCharacteristics, characteristics],
  [VpdPage.LogicalBlockProvisioning, provisioning],
]);

function deviceIdentification(unit: Unit, task: ScsiTask): Buffer {
  const { targetPort, targetName, tag } = task.nexus;
  return buildDesignators([
    ...unitDesignators(unit.features.vendor, unit.name, unit.serial),
    relativePortDesignator(tag),
    targetPortGroupDesignator(tag),
    nameStringDesignator(targetPort, Association.TargetPort),
    nameStringDesignator(targetName, Association.TargetDevice),
  ]);
}

function extendedInquiry(unit: Unit): Buffer {
  return buildExtendedInquiry({
    headOfQueue: true,
    ordered: true,
    simple: true,
    nonVolatileCache: false,
    volatileCache: unit.device.writeCache,
    nexusClear: true,
  });
}

function blockLimits(unit: Unit): Buffer {
  const { blockSize, physicalBlockSize } = unit.device;
  const { features } = unit;
  return buildBlockLimits({
    writeSameNonZero: true,
    maxCompareAndWrite: features.compareAndWrite ? LIMITS.compareAndWrite : 0,
    optimalTransferGranularity: Math.max(1, physicalBlockSize / blockSize),
    maxTransfer: LIMITS.transfer / blockSize,
    optimalTransfer: features.optimalTransferBlocks,
    maxPrefetch: 0,
    maxUnmapBlocks: features.unmap ? features.maxUnmapBlocks : 0,
    maxUnmapDescriptors: features.unmap ? features.maxUnmapDescriptors : 0,
    optimalUnmapGranularity: isThin(unit) ? features.unmapGranularity : 0,
    unmapAlignment: isThin(unit) ? features.unmapAlignment : null,
    maxWriteSame: features.maxWriteSameBlocks,
    maxAtomic: features.atomicWrite ? LIMITS.atomicWrite / blockSize : 0,
  });
}

/** 1: not rotating. What is behind a file nobody knows, but no initiator should order requests for a disk arm. */
function characteristics({ features }: Unit): Buffer {
  const wabereq = features.unmap ? AfterErase.Readable : AfterErase.NotOffered;
  return buildBlockCharacteristics({ rotationRate: features.nonRotating ? 1 : 0, formFactor: 0, wabereq });
}

/** Whether any command gives blocks back (LBPME). */
function isThin({ features }: Unit): boolean {
  return features.unmap || features.writeSameUnmap;
}

function provisioning(unit: Unit): Buffer {
  const { unmap, writeSameUnmap } = unit.features;
  const thin = isThin(unit);
  return buildProvisioning({
    thresholdExponent: 0,
    unmap,
    writeSame16: writeSameUnmap,
    writeSame10: writeSameUnmap,
    readsZero: thin,
    anchor: false,
    type: thin ? ProvisioningType.Thin : ProvisioningType.Resource,
  });
}

export function readCapacity10(unit: Unit, task: ScsiTask): undefined {
  reply(task, buildReadCapacity10({ blocks: unit.blocks, blockSize: unit.device.blockSize }), 8);
}

export function readCapacity16(unit: Unit, task: ScsiTask, cdb: CdbOf<'read-capacity-16'>): undefined {
  const data = buildReadCapacity16({
    blocks: unit.blocks,
    blockSize: unit.device.blockSize,
    physicalBlockSize: unit.features.physicalBlockSize,
    lowestAlignedLba: 0,
    protectionType: 0,
    thin: isThin(unit),
    unmappedReadsZero: isThin(unit),
  });
  reply(task, data, cdb.allocationLength);
}

export function reportLuns(_unit: Unit | null, task: ScsiTask, cdb: CdbOf<'report-luns'>): undefined {
  // 0: single-level units, 1: well known ones (there are none), 2: both (SPC-4 §6.33).
  if (cdb.selectReport > 2) throw invalidFieldInCdb('SPC-4 §6.33', 2);
  if (cdb.allocationLength < 16) throw invalidFieldInCdb('SPC-4 §6.33', 6);
  const luns = cdb.selectReport === 1 ? [] : [...task.luns.keys()].sort((a, b) => a - b);
  reply(task, buildReportLuns(luns), cdb.allocationLength);
}

/** REQUEST SENSE: a waiting UNIT ATTENTION as data, else how far a SANITIZE is, else NO SENSE (SPC-4 §6.39). */
export function requestSense(unit: Unit, task: ScsiTask, cdb: CdbOf<'request-sense'>): undefined {
  const sense = task.nexus.takeAttention(unit) ?? unit.sanitize.pollable ?? Senses.None;
  reply(task, cdb.descriptor ? buildDescriptorSense(sense) : buildFixedSense(sense), cdb.allocationLength);
}

export function reportOpcodes(unit: Unit, task: ScsiTask, cdb: CdbOf<'report-opcodes'>): undefined {
  const { query } = cdb;
  const offered = offeredCommands(unit.features);
  if (query.kind === 'all') {
    reply(task, buildAllOpcodes(offered, cdb.timeouts), cdb.allocationLength);
    return;
  }
  const same = offered.filter((command) => command.opcode === query.opcode);
  const hasActions = same.some((command) => command.serviceAction !== null);
  const wanted = query.kind === 'opcode' ? null : query.serviceAction;
  // SPC-4 §6.35.1: asked the wrong way round, unless option 3 leaves it open.
  if (query.kind === 'opcode' && hasActions) throw invalidFieldInCdb('SPC-4 §6.35', 2, 2);
  if (query.kind === 'service-action' && same.length > 0 && !hasActions && !cdb.lenient) {
    throw invalidFieldInCdb('SPC-4 §6.35', 2, 2);
  }
  const found = same.find((command) => !hasActions || command.serviceAction === wanted) ?? null;
  reply(task, buildOneOpcode(found, cdb.timeouts), cdb.allocationLength);
}

export function reportTmfs(_unit: Unit, task: ScsiTask, cdb: CdbOf<'report-tmfs'>): undefined {
  if (cdb.allocationLength < 4) throw invalidFieldInCdb('SPC-4 §6.36', 6);
  const data = buildSupportedTmfs(
    {
      abortTask: true,
      abortTaskSet: true,
      clearAca: false,
      clearTaskSet: true,
      logicalUnitReset: true,
      queryTask: false,
      queryTaskSet: false,
      nexusReset: false,
    },
    cdb.extended,
  );
  reply(task, data, cdb.allocationLength);
}
