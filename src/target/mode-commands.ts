// MODE SENSE and MODE SELECT (SPC-4 §6.9 ff.), START STOP UNIT and PREVENT ALLOW (SBC-3 §5.12, §5.23).

import type { PrimaryCdb } from '../scsi/cdb-parse.js';
import { PageControl } from '../scsi/cdb-primary.js';
import {
  CheckCondition,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  parameterListLengthError,
  Senses,
} from '../scsi/check-condition.js';
import { buildModeSense, type ModePage, ModePageCode, parseModeSelect } from '../scsi/mode.js';
import {
  buildCachingPage,
  buildControlPage,
  buildErrorRecoveryPage,
  buildInformationalExceptionsPage,
  parseCachingPage,
  parseControlPage,
} from '../scsi/mode-pages.js';
import { reply } from './block-commands.js';
import { gather } from './gather.js';
import type { ModeState } from './mode-state.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type CdbOf<K extends PrimaryCdb['kind']> = Extract<PrimaryCdb, { kind: K }>;
type PageBuilder = (unit: Unit, pageControl: number) => Buffer;

/** The pages of a unit in ascending order. Changeable values are a mask: 1 for each bit that MODE SELECT may set. */
const PAGES: ReadonlyMap<number, PageBuilder> = new Map<number, PageBuilder>([
  [ModePageCode.ReadWriteErrorRecovery, () => buildErrorRecoveryPage()],
  [ModePageCode.Caching, (unit, control) => cachingPage(unit.mode, control)],
  [ModePageCode.Control, (unit, control) => controlPage(unit.mode, control)],
  [ModePageCode.InformationalExceptions, () => buildInformationalExceptionsPage()],
]);

function cachingPage(mode: ModeState, control: number): Buffer {
  const writeCache = control === PageControl.Current ? mode.writeCache : mode.hasWriteCache;
  return buildCachingPage({ writeCache, readCacheDisabled: false, readAheadDisabled: false });
}

function controlPage(mode: ModeState, control: number): Buffer {
  const changeable = control === PageControl.Changeable;
  const current = control === PageControl.Current;
  return buildControlPage({
    taskSetType: 0,
    descriptorSense: changeable || (current && mode.descriptorSense),
    // Commands may be reordered freely: an initiator that needs an order waits or uses ORDERED.
    queueAlgorithm: changeable ? 0 : 1,
    unitAttentionInterlock: 0,
    softwareWriteProtect: changeable || (current && mode.writeProtected),
    taskAbortedStatus: false,
  });
}

export function modeSense(unit: Unit, task: ScsiTask, cdb: CdbOf<'mode-sense'>): undefined {
  if (cdb.pageControl === PageControl.Saved)
    throw new CheckCondition('SPC-4 §6.11.3', Senses.SavingParametersNotSupported);
  // Subpage FFh asks for all subpages, and page_0 is the only one of each page.
  if (cdb.subpage !== 0 && cdb.subpage !== 0xff) throw invalidFieldInCdb('SPC-4 §6.11', 3);
  const builders = cdb.page === ModePageCode.All ? [...PAGES.values()] : [PAGES.get(cdb.page)];
  const pages = builders.map((build) => {
    if (build === undefined) throw invalidFieldInCdb('SPC-4 §6.11', 2, 5);
    return build(unit, cdb.pageControl);
  });
  const { blocks } = unit;
  const data = buildModeSense({
    size: cdb.size,
    writeProtected: task.mapped.readOnly || unit.features.readOnly || unit.mode.writeProtected,
    dpoFua: true,
    blockDescriptor: cdb.noBlockDescriptor ? null : { blocks, blockSize: unit.device.blockSize },
    longLba: cdb.longLba,
    pages,
  });
  reply(task, data, cdb.allocationLength);
}

export async function modeSelect(unit: Unit, task: ScsiTask, cdb: CdbOf<'mode-select'>): Promise<undefined> {
  if (!cdb.pageFormat && cdb.parameterListLength > 0) throw invalidFieldInCdb('SPC-4 §6.9', 1, 4);
  if (cdb.save) throw invalidFieldInCdb('SPC-4 §6.9', 1, 0);
  const list = await gather(task, cdb.parameterListLength);
  if (list.length < cdb.parameterListLength) throw parameterListLengthError('SPC-4 §6.9');
  const parameters = parseModeSelect(list, cdb.size);
  const { blockDescriptor } = parameters;
  if (blockDescriptor !== null && blockDescriptor.blockSize !== unit.device.blockSize) {
    throw invalidFieldInParameterList('SPC-4 §7.5.6', (cdb.size === 6 ? 4 : 8) + 5);
  }
  // All or nothing: every page is checked before one is taken over.
  const offset = list.length - parameters.pages.reduce((sum, page) => sum + page.data.length, 0);
  for (const page of parameters.pages) checkPage(unit, page, offset);
  let changed = false;
  for (const page of parameters.pages) changed = takeOver(unit.mode, page) || changed;
  if (changed) unit.attention(Senses.ModeParametersChanged, task.nexus);
  // A cache that is switched off must not hold anything any more.
  if (unit.mustFlush(false)) await unit.flushNow();
}

/** Bits that cannot be changed must be what they are (SPC-4 §6.9.1). */
function checkPage(unit: Unit, page: ModePage, offset: number): void {
  const build = page.subpage === 0 ? PAGES.get(page.code) : undefined;
  if (build === undefined) throw invalidFieldInParameterList('SPC-4 §6.9', offset);
  const current = build(unit, PageControl.Current);
  if (page.data.length !== current.length) throw parameterListLengthError('SPC-4 §6.9');
  const mask = build(unit, PageControl.Changeable);
  for (let i = 2; i < current.length; i++) {
    const fixed = ~changeableBits(page.code, mask, i) & 0xff;
    if (((page.data[i] ?? 0) & fixed) !== ((current[i] ?? 0) & fixed)) {
      throw invalidFieldInParameterList('SPC-4 §6.9', offset + i);
    }
  }
}

/** Pages without a changeable bit answer "changeable" with their fixed values, which are all 0. */
function changeableBits(code: number, mask: Buffer, index: number): number {
  return code === ModePageCode.Caching || code === ModePageCode.Control ? (mask[index] ?? 0) : 0;
}

function takeOver(mode: ModeState, page: ModePage): boolean {
  if (page.code === ModePageCode.Caching) {
    const { writeCache } = parseCachingPage(page.data);
    const changed = writeCache !== mode.writeCache;
    mode.writeCache = writeCache;
    return changed;
  }
  if (page.code !== ModePageCode.Control) return false;
  const { descriptorSense, softwareWriteProtect } = parseControlPage(page.data);
  const changed = descriptorSense !== mode.descriptorSense || softwareWriteProtect !== mode.writeProtected;
  mode.descriptorSense = descriptorSense;
  mode.writeProtected = softwareWriteProtect;
  return changed;
}

/** START STOP UNIT: a file is always ready. What would stop it makes its writes stable, unless NO_FLUSH says not to. */
export async function startStop(unit: Unit, _task: ScsiTask, cdb: CdbOf<'start-stop'>): Promise<undefined> {
  if (cdb.powerCondition !== 0) throw invalidFieldInCdb('SBC-3 §5.23', 4, 7);
  if (cdb.loadEject) throw invalidFieldInCdb('SBC-3 §5.23', 4, 1);
  if (!cdb.start && !cdb.noFlush) await unit.flushNow();
}

/** PREVENT ALLOW MEDIUM REMOVAL: the medium of a fixed disk never goes, so both are true at once. */
export function preventAllow(_unit: Unit, _task: ScsiTask, cdb: CdbOf<'prevent-allow'>): undefined {
  if (cdb.prevent > 1) throw invalidFieldInCdb('SBC-3 §5.12', 4, 1);
}
