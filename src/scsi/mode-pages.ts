// The mode pages of a disk: 01h read-write error recovery, 08h caching (SBC-3 §6.4), 0Ah control and 1Ch informational
// exceptions (SPC-4 §7.5). Fields that this program neither uses nor offers are 0.
import { findModePage, ModePageCode, type ModeParameters } from './mode.js';

/** Page 08h. */
export interface CachingPage {
  /** WCE: a write may be acknowledged before it is on the medium. */
  readonly writeCache: boolean;
  /** RCD: reads do not come from the cache. */
  readonly readCacheDisabled: boolean;
  /** DRA: no read-ahead. */
  readonly readAheadDisabled: boolean;
}

function byteOf(page: Buffer, index: number): number {
  return page[index] ?? 0;
}

/** Page 08h; bytes that a short page lacks read as 0. */
export function parseCachingPage(page: Buffer): CachingPage {
  return {
    writeCache: (byteOf(page, 2) & 0x04) !== 0,
    readCacheDisabled: (byteOf(page, 2) & 0x01) !== 0,
    readAheadDisabled: (byteOf(page, 12) & 0x20) !== 0,
  };
}

/** Page 08h, 20 bytes. */
export function buildCachingPage(page: CachingPage): Buffer {
  const b = Buffer.alloc(20);
  b[0] = ModePageCode.Caching;
  b[1] = b.length - 2;
  b[2] = (page.writeCache ? 0x04 : 0) | (page.readCacheDisabled ? 0x01 : 0);
  b[12] = page.readAheadDisabled ? 0x20 : 0;
  return b;
}

/** Whether acknowledged writes may be volatile: WCE, and yes where the unit reports no whole caching page. */
export function hasWriteCache(parameters: ModeParameters): boolean {
  const page = findModePage(parameters, ModePageCode.Caching);
  return page === undefined || page.data.length < 3 ? true : parseCachingPage(page.data).writeCache;
}

/** Page 0Ah. */
export interface ControlPage {
  /** TST: 0 one task set for all nexuses, 1 one for each. */
  readonly taskSetType: number;
  /** D_SENSE: sense data in descriptor format. */
  readonly descriptorSense: boolean;
  /** QUEUE ALGORITHM MODIFIER: 0 restricted, 1 unrestricted reordering. */
  readonly queueAlgorithm: number;
  /** UA_INTLCK_CTRL: 0 unit attentions clear as usual. */
  readonly unitAttentionInterlock: number;
  /** SWP: software write protect. */
  readonly softwareWriteProtect: boolean;
  /** TAS: tasks aborted by another nexus end with TASK ABORTED. */
  readonly taskAbortedStatus: boolean;
}

/** Page 0Ah; bytes that a short page lacks read as 0. */
export function parseControlPage(page: Buffer): ControlPage {
  return {
    taskSetType: byteOf(page, 2) >> 5,
    descriptorSense: (byteOf(page, 2) & 0x04) !== 0,
    queueAlgorithm: byteOf(page, 3) >> 4,
    unitAttentionInterlock: (byteOf(page, 4) >> 4) & 3,
    softwareWriteProtect: (byteOf(page, 4) & 0x08) !== 0,
    taskAbortedStatus: (byteOf(page, 5) & 0x40) !== 0,
  };
}

/** Page 0Ah, 12 bytes. */
export function buildControlPage(page: ControlPage): Buffer {
  const b = Buffer.alloc(12);
  b[0] = ModePageCode.Control;
  b[1] = b.length - 2;
  b[2] = ((page.taskSetType & 7) << 5) | (page.descriptorSense ? 0x04 : 0);
  b[3] = (page.queueAlgorithm & 0x0f) << 4;
  b[4] = ((page.unitAttentionInterlock & 3) << 4) | (page.softwareWriteProtect ? 0x08 : 0);
  b[5] = page.taskAbortedStatus ? 0x40 : 0;
  return b;
}

/** Page 01h, 12 bytes: automatic reallocation (AWRE, ARRE) is the backstore's matter, so all fields are 0. */
export function buildErrorRecoveryPage(): Buffer {
  const b = Buffer.alloc(12);
  b[0] = ModePageCode.ReadWriteErrorRecovery;
  b[1] = b.length - 2;
  return b;
}

/** Page 1Ch, 12 bytes: exceptions are not reported (MRIE 0). */
export function buildInformationalExceptionsPage(): Buffer {
  const b = Buffer.alloc(12);
  b[0] = ModePageCode.InformationalExceptions;
  b[1] = b.length - 2;
  return b;
}
