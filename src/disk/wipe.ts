// The plan of `disk wipe`: signatures go into files of ours before they go from the disk; then, if asked for, everything.
import { type PlanDisk, type Step, TABLE_MS, wipefs } from './plan.js';
import { shellWord } from './shell.js';

export const CLEARINGS = ['discard', 'zero'] as const;
export type Clearing = (typeof CLEARINGS)[number];

export interface WipePlan extends PlanDisk {
  readonly isFile: boolean;
  /** Of what is wiped, bytes. */
  readonly sizeBytes: number;
  /** wipefs has found signatures. */
  readonly signatures: boolean;
  /** Bytes at which GPT headers stand that wipefs does not know of. */
  readonly headers: readonly number[];
  /** The folder for the backup; made by the plan. */
  readonly backup: string;
  readonly clear: Clearing | null;
}

/** "EFI PART": without it no reader takes the block for a header. */
const HEADER_MARK_BYTES = 8;
/** How much is cleared between two words about it. */
const CLEAR_STEP = 64 * 2 ** 20;
/** Zeros through a slow line: a day. */
const CLEAR_MS = 24 * 3_600_000;

export function planWipeDisk(plan: WipePlan): Step[] {
  const { backup, headers, signatures, clear } = plan;
  const steps: Step[] = [];
  if (signatures || headers.length > 0) {
    steps.push({ name: 'backup', tool: 'mkdir', args: ['-p', '-m', '0700', '--', backup], timeoutMs: TABLE_MS });
  }
  if (signatures) {
    // wipefs keeps its backups in the home folder; newer ones take a folder as an argument, which older ones refuse.
    steps.push({ ...wipefs('wipe', plan, ['--backup']), env: { HOME: backup } });
  }
  for (const offset of headers) steps.push(...planHeader(plan, offset));
  if (clear !== null) steps.push(planClear(plan, clear));
  return steps;
}

/** As wipefs would do it, its file name included, so that all backups are put back the same way. */
function planHeader({ path, lock, backup }: WipePlan, offset: number): Step[] {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const file = `${backup}/wipefs-${name}-0x${offset.toString(16).padStart(8, '0')}.bak`;
  const common = [`bs=${HEADER_MARK_BYTES}`, 'count=1', 'status=none'];
  const save = [`if=${path}`, `of=${file}`, ...common, 'iflag=skip_bytes', `skip=${offset}`];
  return [
    { name: 'backup', tool: 'dd', args: save, timeoutMs: TABLE_MS },
    ...planEraseHeaders({ path, lock }, [offset]),
  ];
}

/** Takes the marks off GPT headers that wipefs and sfdisk do not find. */
export function planEraseHeaders({ path, lock }: PlanDisk, offsets: readonly number[]): Step[] {
  return offsets.map((offset) => {
    const where = [`of=${path}`, `bs=${HEADER_MARK_BYTES}`, 'oflag=seek_bytes', `seek=${offset}`];
    const args = ['if=/dev/zero', ...where, 'count=1', 'conv=notrunc,fsync', 'status=none'];
    return { name: 'wipe', tool: 'dd', args, timeoutMs: TABLE_MS, lock } as const;
  });
}

function planClear({ path, lock, isFile, sizeBytes }: WipePlan, how: Clearing): Step {
  const step = { name: 'clear', timeoutMs: CLEAR_MS, lock } as const;
  if (!isFile) {
    const zero = how === 'zero' ? ['--zeroout'] : [];
    return { ...step, tool: 'blkdiscard', args: [...zero, '--verbose', '--step', String(CLEAR_STEP), '--', path] };
  }
  if (how === 'discard') {
    const args = ['--punch-hole', '--offset', '0', '--length', String(sizeBytes), '--', path];
    return { ...step, tool: 'fallocate', args };
  }
  const zeros = ['if=/dev/zero', `of=${path}`, 'bs=4M', 'iflag=count_bytes', `count=${sizeBytes}`];
  return { ...step, tool: 'dd', args: [...zeros, 'conv=notrunc,fsync', 'status=progress'] };
}

/** How many bytes a clearing program says it has done, or null. */
export function clearedBytes(text: string): number | null {
  // blkdiscard: "Zero-filled 67108864 bytes from the offset 134217728"; dd: "1073741824 bytes (1.1 GB) copied".
  const last = (pattern: RegExp) => [...text.matchAll(pattern)].at(-1);
  const [, length, offset] = last(/(\d+) bytes from the offset (\d+)/g) ?? [];
  if (length !== undefined) return Number(length) + Number(offset);
  const copied = last(/(\d+) bytes [^\r\n]*copied/g)?.[1];
  return copied === undefined ? null : Number(copied);
}

/** One line for a POSIX shell that puts a backup back on the disk `path`. */
export function restoreLine(backup: string, path: string): string {
  const copy = `dd if="$f" of=${shellWord(path)} bs=1 seek=$((\${o%.bak})) conv=notrunc`;
  return `for f in ${shellWord(backup)}/*.bak; do o=\${f##*-}; ${copy}; done`;
}
