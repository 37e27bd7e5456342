// fstab(5) as text: its entries, and a line added or removed with every other byte as it was. Texts are latin1 strings,
// one character for each byte, so that what is not UTF-8 survives; the fields of entries are UTF-8.

export interface FstabEntry {
  /** `UUID=…`, `/dev/…` */
  readonly spec: string;
  /** Where it is mounted. */
  readonly directory: string;
  readonly type: string;
  readonly options: readonly string[];
  /** Of its line, from 1. */
  readonly line: number;
}

/** The entries in their order. Comments and lines without a directory are none. */
export function parseFstab(text: string): FstabEntry[] {
  return text.split('\n').flatMap((line, index) => {
    const fields = line.trim().split(/[ \t]+/);
    const [spec, directory, type, options] = fields.map(decodeField);
    if (spec === undefined || spec.startsWith('#') || directory === undefined) return [];
    const entry = { spec, directory: withoutSlash(directory), type: type ?? '', line: index + 1 };
    return [{ ...entry, options: (options ?? 'defaults').split(',') }];
  });
}

/** One entry as a line, without its line feed; never checked at boot by fsck, as the disk may come late. */
export function fstabLine({ spec, directory, type, options }: Omit<FstabEntry, 'line'>): string {
  return [spec, directory, type, options.join(','), '0', '0'].map(encodeField).join(' ');
}

/** `line` behind the last one, which is ended if it was not. */
export function addFstabLine(text: string, line: string): string {
  const ended = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${ended}${toBytes(line)}\n`;
}

/** Without the lines of those numbers, from 1. */
export function removeFstabLines(text: string, lines: readonly number[]): string {
  const all = text.split('\n');
  return all.filter((_, index) => !lines.includes(index + 1)).join('\n');
}

/** Blanks, tabs, line feeds and backslashes are written as three octal digits. */
function encodeField(field: string): string {
  return field.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function decodeField(field: string): string {
  const bytes = field.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function toBytes(line: string): string {
  return Buffer.from(line, 'utf8').toString('latin1');
}

function withoutSlash(directory: string): string {
  return directory.replace(/(?<=.)\/+$/, '');
}
