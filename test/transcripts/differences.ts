// The list of deliberate differences. Which command differs, and what ours prints, stands in differences.txt in the form of a
// recording, each behind a line `## RECORDING NUMBER: REASON`; the reason is the name of an item in lunctl-iscsiadm(8).
import { join } from 'node:path';
import { type Answer, formatAnswer, type RecordedCommand, readRecording } from './recording.js';
import type { Comparison } from './replay.js';

export interface Verdict {
  readonly kind: 'identical' | 'listed' | 'unexplained' | 'stale';
  /** What to say about it; empty where all is as it should be. */
  readonly text: string;
}

interface Entry {
  readonly reason: string;
  readonly ours: RecordedCommand;
}

const root = process.env.LUNCTL_ROOT ?? process.cwd();
export const DIFFERENCES = join(root, 'test/transcripts/differences.txt');
const NOTE = /^([\w-]+) (\d+): ([\w-]+)$/;

export class Differences {
  readonly #entries = new Map<string, Entry>();

  /** @throws on a note of another form, and on a command without one */
  static read(path = DIFFERENCES): Differences {
    const list = new Differences();
    for (const command of readRecording(path)) {
      const [, recording, number, reason] = NOTE.exec(command.notes.at(-1) ?? '') ?? [];
      if (recording === undefined || reason === undefined) throw new Error(`no reason is given for: ${command.line}`);
      list.#entries.set(`${recording} ${number}`, { reason, ours: command });
    }
    return list;
  }

  get reasons(): ReadonlySet<string> {
    return new Set([...this.#entries.values()].map(({ reason }) => reason));
  }

  /** The file with what ours answers now, for the commands that are in it. */
  updated(comparisons: readonly Comparison[]): string {
    let text = '';
    for (const [title, { reason, ours }] of this.#entries) {
      const now = comparisons.find(({ recording, number }) => title === `${recording} ${number}`);
      text += `## ${title}: ${reason}\n$ ${now?.line ?? ours.line}\n${formatAnswer(now?.ours ?? ours)}\n`;
    }
    return text;
  }

  judge({ recording, number, line, recorded, ours }: Comparison): Verdict {
    const title = `${recording} ${number}`;
    const entry = this.#entries.get(title);
    const identical = same(recorded, ours);
    if (entry === undefined) {
      if (identical) return { kind: 'identical', text: '' };
      return { kind: 'unexplained', text: shown(title, line, recorded, ours) };
    }
    if (identical)
      return { kind: 'stale', text: `== ${title} is in the list of differences, but is identical: ${line}\n` };
    if (entry.ours.line === line && same(entry.ours, ours)) return { kind: 'listed', text: '' };
    return { kind: 'unexplained', text: shown(`${title}, in the list with another answer`, line, entry.ours, ours) };
  }
}

function same(a: Answer, b: Answer): boolean {
  return a.stdout === b.stdout && a.stderr === b.stderr && a.exit === b.exit;
}

function shown(title: string, line: string, expected: Answer, got: Answer): string {
  return `== ${title}\n$ ${line}\n-- expected\n${formatAnswer(expected)}-- got\n${formatAnswer(got)}`;
}
