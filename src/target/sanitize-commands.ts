// SANITIZE (SBC-3 §5.24): OVERWRITE writes every block, BLOCK ERASE gives every block back. CRYPTOGRAPHIC ERASE is not offered,
// since nothing here is encrypted. What a file system or an SSD below keeps of old content is beyond any of them.
import { BlockOp } from '../block/block-device.js';
import type { SpecialCdb } from '../scsi/cdb-special.js';
import { CheckCondition, invalidFieldInCdb, Senses } from '../scsi/check-condition.js';
import { Sanitize } from '../scsi/opcodes.js';
import { checkOverwriteLength, type Overwrite, parseOverwrite } from '../scsi/sanitize.js';
import { gather } from './gather.js';
import { LIMITS } from './limits.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type SanitizeCdb = Extract<SpecialCdb, { kind: 'sanitize' }>;

/** Blocks that BLOCK ERASE gives back at a time, in bytes. */
const ERASE_PIECE = 2 ** 30;

/**
 * The operation belongs to the unit: it goes on whatever becomes of the command, its session or the unit's task set. It does not
 * go on after a restart of the server, whose disk may then hold a part of the old content.
 */
export async function sanitize(unit: Unit, task: ScsiTask, cdb: SanitizeCdb): Promise<undefined> {
  switch (cdb.serviceAction) {
    case Sanitize.Overwrite: {
      checkOverwriteLength(cdb.parameterListLength, unit.device.blockSize);
      unit.checkWritable(task);
      const list = parseOverwrite(await gather(task, cdb.parameterListLength), unit.device.blockSize);
      await operate(unit, task, cdb, () => overwrite(unit, list));
      return;
    }
    case Sanitize.BlockErase:
      if (cdb.parameterListLength !== 0 || !unit.features.unmap) throw invalidFieldInCdb('SBC-3 §5.24', 7);
      unit.checkWritable(task);
      await operate(unit, task, cdb, () => blockErase(unit));
      return;
    case Sanitize.ExitFailureMode:
      if (cdb.parameterListLength !== 0) throw invalidFieldInCdb('SBC-3 §5.24', 7);
      if (!unit.sanitize.mayExit) throw invalidFieldInCdb('SBC-3 §5.24.5', 1, 4);
      unit.sanitize.exit();
      return;
    default:
      throw invalidFieldInCdb('SBC-3 §5.24', 1, 4);
  }
}

async function operate(unit: Unit, task: ScsiTask, cdb: SanitizeCdb, work: () => Promise<void>): Promise<void> {
  // The parameter list has been waited for: another one may have begun.
  if (unit.sanitize.state === 'running') throw new CheckCondition('SBC-3 §4.11', Senses.SanitizeInProgress);
  unit.sanitize.begin(cdb.allowExit);
  const ended = cdb.immediate ? null : unit.sanitize.wait(task);
  void runAlone(unit, work);
  await ended;
}

async function runAlone(unit: Unit, work: () => Promise<void>): Promise<void> {
  await unit.gate.acquireExclusive();
  let error: unknown = null;
  try {
    await work();
    // A unit that reports success must not find the old content again after a loss of power.
    await unit.flushNow();
  } catch (reason) {
    error = reason;
  } finally {
    unit.gate.releaseExclusive();
    unit.sanitize.end(error);
  }
}

async function overwrite(unit: Unit, { invert, passes, pattern }: Overwrite): Promise<void> {
  const { blockSize, sizeBytes } = unit.device;
  const block = Buffer.alloc(blockSize, pattern);
  const straight = Buffer.alloc(LIMITS.chunk, block);
  const inverted = Buffer.alloc(
    LIMITS.chunk,
    block.map((byte) => ~byte & 0xff),
  );
  for (let pass = 0; pass < passes; pass++) {
    const bytes = invert && pass % 2 === 1 ? inverted : straight;
    for (let at = 0; at < sizeBytes; at += bytes.length) {
      const length = Math.min(bytes.length, sizeBytes - at);
      await unit.run(BlockOp.Write, at, length, bytes.subarray(0, length));
      unit.sanitize.advance((pass + (at + length) / sizeBytes) / passes);
      await unit.pause('sanitize', length);
    }
    // Each pass has to reach the medium, or only the last one would.
    await unit.flushNow();
  }
}

async function blockErase(unit: Unit): Promise<void> {
  const { sizeBytes } = unit.device;
  for (let at = 0; at < sizeBytes; at += ERASE_PIECE) {
    const length = Math.min(ERASE_PIECE, sizeBytes - at);
    await unit.run(BlockOp.WriteZeroes, at, length);
    unit.sanitize.advance((at + length) / sizeBytes);
    await unit.pause('sanitize', 0);
  }
}
