// Persistent reservations with APTPL on stable storage: a file for each disk, named by its serial number (SPC-4 §5.12.5).
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { readTextFile, syncFolder, writeTextFile } from '../../records/files.js';
import type { KeptReservations, ReservationKeeper } from '../../target/reservations.js';
import { AppError } from '../../util/errors.js';

/** 256 registrations of names that are as long as names can be. */
const LARGEST = 2 ** 20;
const VERSION = 1;

const FILE = v.strictObject({
  version: v.literal(VERSION),
  serial: v.string(),
  registrations: v.array(
    v.strictObject({
      nexus: v.string(),
      key: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
      name: v.string(),
      isid: v.pipe(v.string(), v.regex(/^[0-9a-f]{12}$/)),
      port: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)),
    }),
  ),
  held: v.nullable(
    v.strictObject({
      type: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(8)),
      holder: v.nullable(v.string()),
    }),
  ),
});

/**
 * The reservations of the disk with this serial number, kept in `folder`, which is made when there is something to keep.
 * @throws AppError ERR_DATABASE for a file that cannot be understood: to go on without it would let everybody write
 */
export async function openReservationFile(folder: string, serial: string): Promise<ReservationKeeper> {
  const path = join(folder, `aptpl_${createHash('sha256').update(serial).digest('hex').slice(0, 32)}.json`);
  const text = await readTextFile(path);
  let made = text !== undefined;
  const keep = async (state: KeptReservations | null): Promise<void> => {
    await writeTextFile(folder, path, print(state ?? { registrations: [], held: null }, serial));
    // A folder that has just been made is not safe before its own entry is.
    if (!made) await syncFolder(dirname(folder));
    made = true;
  };
  return {
    kept: text === undefined ? null : parse(text, path, serial),
    keep,
  };
}

function parse(text: string, path: string, serial: string): KeptReservations | null {
  const { registrations, held, ...file } = read(text, path);
  const known = held === null || held.holder === null || registrations.some(({ nexus }) => nexus === held.holder);
  if (file.serial !== serial || !known) throw damaged(path);
  if (registrations.length === 0) return null;
  return { registrations: registrations.map((entry) => ({ ...entry, key: BigInt(`0x${entry.key}`) })), held };
}

function read(text: string, path: string): v.InferOutput<typeof FILE> {
  if (text.length > LARGEST) throw damaged(path);
  try {
    return v.parse(FILE, JSON.parse(text));
  } catch (error) {
    throw damaged(path, error);
  }
}

function damaged(path: string, cause?: unknown): AppError {
  return new AppError('ERR_DATABASE', `${path} is damaged: which initiators have reserved the disk is not known`, {
    cause,
    hint: 'remove the file if no cluster uses the disk; its nodes have to register again then',
  });
}

function print({ registrations, held }: KeptReservations, serial: string): string {
  const entries = registrations.map((entry) => ({ ...entry, key: entry.key.toString(16).padStart(16, '0') }));
  return `${JSON.stringify({ version: VERSION, serial, registrations: entries, held }, null, 2)}\n`;
}
