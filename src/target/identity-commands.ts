// What a unit says about itself: INQUIRY and VPD, capacity, LUNs, supported commands (SPC-4 §6, §7.8; SBC-3 §5.15, §6.6).
import { buildReadCapacity10, buildReadCapacity16 } from '../scsi/capacity.js';
import type { PrimaryCdb } from '../scsi/cdb-parse.js';
import { invalidFieldInCdb, Senses } from '../scsi/check-condition.js';
import { COMMAND_USAGE, type CommandUsage } from '../scsi/command-usage.js';
import {
  Association,
  buildDesignators,
  naaDesignator,
  naaFromSerial,
  nameStringDesignator,
  relativePortDesignator,
  t10Designator,
  targetPortGroupDesignator,
} from '../scsi/designator.js';
import { buildInquiry, DeviceType, type Inquiry, Qualifier } from '../scsi/inquiry.js';
import { buildReportLuns } from '../scsi/lun.js';
import { MaintenanceIn, ScsiOp } from '../scsi/opcodes.js';
import { buildAllOpcodes, buildOneOpcode, buildSupportedTmfs } from '../scsi/report-opcodes.js';
import { buildDescriptorSense, buildFixedSense } from '../scsi/sense.js';
import { buildExtendedInquiry, buildSupportedPages, buildUnitSerial, VpdPage } from '../scsi/vpd.js';
import { buildBlockCharacteristics, buildBlockLimits, buildProvisioning, ProvisioningType } from '../scsi/vpd-block.js';
import { reply } from './block-commands.js';
import { LIMITS } from './limits.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type CdbOf<K extends PrimaryCdb['kind']> = Extract<PrimaryCdb, { kind: K }>;

export const VENDOR = 'LUNCTL';
const REVISION = '1';
/** SAM-5, SPC-4, SBC-3, iSCSI (SPC-4 table 142). */
const VERSION_DESCRIPTORS = [0x00a0, 0x0460, 0x04c0, 0x0960] as const;

/** What INQUIRY says of any disk here; `product` is cut to 16 bytes. */
export function inquiryData(product: string, qualifier: number = Qualifier.Connected): Inquiry {
  const connected = qualifier === Qualifier.Connected;
  return {
    qualifier,
    deviceType: connected ? DeviceType.Block : DeviceType.Unknown,
    removable: false,
    version: 6,
    normAca: false,
    hiSup: true,
    tpgs: 0,
    thirdPartyCopy: false,
    protect: false,
    multiPort: false,
    commandQueuing: true,
    vendor: VENDOR,
    product,
    revision: REVISION,
    versionDescriptors: connected ? VERSION_DESCRIPTORS : [],
  };
}

export function inquiry(unit: Unit, task: ScsiTask, cdb: CdbOf<'inquiry'>): undefined {
  if (cdb.page === null) {
    reply(task, buildInquiry(inquiryData(unit.name)), cdb.allocationLength);
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
  // 1: not rotating. What is behind a file nobody knows, but no initiator should order requests for a disk arm.
  [VpdPage.BlockDeviceCharacteristics, () => buildBlockCharacteristics({ rotationRate: 1, formFactor: 0 })],
  [VpdPage.LogicalBlockProvisioning, provisioning],
]);

function deviceIdentification(unit: Unit, task: ScsiTask): Buffer {
  const { targetPort } = task.nexus;
  const targetName = targetPort.slice(0, targetPort.indexOf(',t,'));
  const tag = Number.parseInt(targetPort.slice(targetPort.indexOf(',t,0x') + 5), 16);
  return buildDesignators([
    t10Designator(VENDOR, `${unit.name}:${unit.serial}`.slice(0, 200)),
    naaDesignator(naaFromSerial(unit.serial)),
    relativePortDesignator(1),
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
  const { blockSize, optimalIoSize, physicalBlockSize, canTrim } = unit.device;
  const granularity = Math.max(1, physicalBlockSize, 4096) / blockSize;
  return buildBlockLimits({
    writeSameNonZero: true,
    maxCompareAndWrite: LIMITS.compareAndWrite,
    optimalTransferGranularity: Math.max(1, physicalBlockSize / blockSize),
    maxTransfer: LIMITS.transfer / blockSize,
    optimalTransfer: Math.min(optimalIoSize, LIMITS.transfer) / blockSize,
    maxPrefetch: 0,
    maxUnmapBlocks: canTrim ? LIMITS.unmapBlocks : 0,
    maxUnmapDescriptors: canTrim ? LIMITS.unmapDescriptors : 0,
    optimalUnmapGranularity: canTrim ? granularity : 0,
    unmapAlignment: canTrim ? 0 : null,
    maxWriteSame: LIMITS.transfer / blockSize,
  });
}

function provisioning(unit: Unit): Buffer {
  const { canTrim } = unit.device;
  return buildProvisioning({
    thresholdExponent: 0,
    unmap: canTrim,
    writeSame16: canTrim,
    writeSame10: canTrim,
    readsZero: canTrim,
    anchor: false,
    type: canTrim ? ProvisioningType.Thin : ProvisioningType.Resource,
  });
}

export function readCapacity10(unit: Unit, task: ScsiTask): undefined {
  reply(task, buildReadCapacity10({ blocks: unit.blocks, blockSize: unit.device.blockSize }), 8);
}

export function readCapacity16(unit: Unit, task: ScsiTask, cdb: CdbOf<'read-capacity-16'>): undefined {
  const { blockSize, physicalBlockSize, canTrim } = unit.device;
  const data = buildReadCapacity16({
    blocks: unit.blocks,
    blockSize,
    physicalBlockSize,
    lowestAlignedLba: 0,
    protectionType: 0,
    thin: canTrim,
    unmappedReadsZero: canTrim,
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

/** REQUEST SENSE: a waiting UNIT ATTENTION as data, else NO SENSE (SPC-4 §6.39). */
export function requestSense(unit: Unit, task: ScsiTask, cdb: CdbOf<'request-sense'>): undefined {
  const sense = task.nexus.takeAttention(unit) ?? Senses.None;
  reply(task, cdb.descriptor ? buildDescriptorSense(sense) : buildFixedSense(sense), cdb.allocationLength);
}

/** What parseCdb knows and this unit does not carry out. */
function isOffered({ opcode, serviceAction }: CommandUsage): boolean {
  if (opcode === ScsiOp.MaintenanceIn) return serviceAction !== MaintenanceIn.ReportTargetPortGroups;
  if (opcode === ScsiOp.PersistentReserveOut) return serviceAction !== 7;
  return true;
}
const OFFERED: readonly CommandUsage[] = COMMAND_USAGE.filter(isOffered);

export function reportOpcodes(_unit: Unit, task: ScsiTask, cdb: CdbOf<'report-opcodes'>): undefined {
  const { query } = cdb;
  if (query.kind === 'all') {
    reply(task, buildAllOpcodes(OFFERED, cdb.timeouts), cdb.allocationLength);
    return;
  }
  const same = OFFERED.filter((command) => command.opcode === query.opcode);
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
