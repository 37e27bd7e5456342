// disk wipe: takes the signatures off a disk or partition, which are kept in files of ours, and clears it if asked to.
import { join } from 'node:path';
import { describeSignature } from '../../disk/probe.js';
import { type Clearing, planWipeDisk, restoreLine } from '../../disk/wipe.js';
import { AppError } from '../../util/errors.js';
import { look } from './look.js';
import { type DiskJob, type DiskOptions, prepare } from './prepare.js';

export interface WipeOptions extends DiskOptions {
  /** Below it each wipe gets a folder of its own. */
  readonly stateDir: string;
  readonly clear: Clearing | null;
}

export interface WipeJob extends DiskJob {
  /** Where the signatures are kept, and the line that puts them back; null without any. */
  readonly backup: { readonly folder: string; readonly restore: string } | null;
}

/** A job without steps: there is no signature, and nothing else was asked for. */
export async function prepareWipe(options: WipeOptions): Promise<WipeJob> {
  const { clear } = options;
  let backup: WipeJob['backup'] = null;
  const job = await prepare(options, async ({ target, access, findings }) => {
    const { signatures, known, hiddenHeaders: headers } = findings;
    if (clear === null && known.length + headers.length < signatures.length) {
      throw new AppError('ERR_REFUSED', `${target.name} holds ${signatures[0]?.type}, which wipefs does not know`, {
        hint: 'add --zero to clear the whole disk',
      });
    }
    const folder = join(options.stateDir, 'wiped', `${timestamp()}-${target.name.replace(/[^\w.]/g, '_')}`);
    if (known.length + headers.length > 0) {
      const node = access.isFile ? 'DEVICE' : access.path;
      backup = { folder, restore: restoreLine(folder, node) };
    }
    const { path, lock, isFile, sizeBytes } = access;
    const plan = { path, lock, isFile, sizeBytes, signatures: known.length > 0, headers, backup: folder, clear };
    const wholeDisk = target.partition === null;
    const verify = async () => {
      const [left] = (await look(target, access, options)).signatures;
      if (left === undefined) return;
      throw new AppError('ERR_HELPER', `${target.name} still holds ${describeSignature(left)}: wipefs has left it`);
    };
    return { steps: planWipeDisk(plan), lost: signatures, table: wholeDisk ? 'empty' : 'none', verify };
  });
  return { ...job, backup };
}

/** `20261121T185446Z`: sorts by time and needs no quotes. */
function timestamp(): string {
  return new Date().toISOString().replace(/[-:]|\.\d+/g, '');
}
