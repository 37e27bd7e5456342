// Recordings of the real iscsiadm (recordings/*.txt): commands with what they printed, and the notes between them.
import { readFileSync } from 'node:fs';

/** What one command printed, and how it ended. */
export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: number;
}

export interface RecordedCommand extends Answer {
  /** Counted from 1 in its file. */
  readonly number: number;
  /** As it was typed to bash. */
  readonly line: string;
  /** The `## …` lines since the command before it. */
  readonly notes: readonly string[];
}

const EXIT = /^--- exit (\d+)(?: \(after about \d+ s\))?$/;
const STREAM = /^--- (stdout|stderr)$/;

/**
 * Reads the form
 *
 *     $ COMMAND LINE
 *     --- stdout        (with what follows; left out where there was nothing)
 *     --- stderr        (likewise)
 *     --- exit N
 *
 * @throws on anything else, so that no command is left out by a slip
 */
export function parseRecording(text: string): RecordedCommand[] {
  const commands: RecordedCommand[] = [];
  const lines = text.split('\n');
  let notes: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? '';
    if (line.startsWith('$ ')) {
      const { answer, next } = parseAnswer(lines, at + 1);
      commands.push({ number: commands.length + 1, line: line.slice(2), notes, ...answer });
      notes = [];
      at = next;
      continue;
    }
    if (line.startsWith('## ')) notes.push(line.slice(3));
    else if (line !== '' && !line.startsWith('# ')) throw new Error(`line ${at + 1} belongs to no command: ${line}`);
    at++;
  }
  return commands;
}

function parseAnswer(lines: readonly string[], from: number): { answer: Answer; next: number } {
  const printed = { stdout: '', stderr: '' };
  let stream: 'stdout' | 'stderr' | undefined;
  for (let at = from; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const exit = EXIT.exec(line)?.[1];
    if (exit !== undefined) return { answer: { ...printed, exit: Number(exit) }, next: at + 1 };
    const heading = STREAM.exec(line)?.[1];
    if (heading !== undefined) stream = heading as 'stdout' | 'stderr';
    else if (stream === undefined) throw new Error(`line ${at + 1} is neither standard output nor error: ${line}`);
    else printed[stream] += `${line}\n`;
  }
  throw new Error('the last command has no exit status');
}

/** The form that `parseRecording` reads. */
export function formatAnswer({ stdout, stderr, exit }: Answer): string {
  const section = (name: string, text: string): string =>
    text === '' ? '' : `--- ${name}\n${text.replace(/\n?$/, '\n')}`;
  return `${section('stdout', stdout)}${section('stderr', stderr)}--- exit ${exit}\n`;
}

export function readRecording(path: string): RecordedCommand[] {
  return parseRecording(readFileSync(path, 'utf8'));
}
