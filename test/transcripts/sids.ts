// Which of our session numbers stands for which recorded one. Numbers follow from what else the machine has done and from
// the order in which a folder lists its records, so they are matched by what they belong to: target, portal, and rank
// where one portal has several sessions.

/** `TARGET PORTAL` → the numbers seen with it, in the order of login. */
type Seen = Map<string, number[]>;

export class Sids {
  readonly #toOurs = new Map<number, number>();
  readonly #toRecorded = new Map<number, number>();

  /** Takes up what one command has shown, here and in the recording. */
  learn(recorded: string, ours: string): void {
    const theirs = sessionsIn(ours);
    for (const [session, numbers] of sessionsIn(recorded)) {
      const present = theirs.get(session) ?? [];
      const known = new Set(numbers.filter((sid) => present.includes(this.#toOurs.get(sid) ?? -1)));
      const taken = new Set([...known].map((sid) => this.#toOurs.get(sid)));
      const fresh = present.filter((sid) => !taken.has(sid));
      for (const sid of numbers) if (!known.has(sid)) this.#bind(sid, fresh.shift());
    }
  }

  /** A number of ours may stand for another session later: the smallest free one is taken. */
  #bind(recorded: number, ours: number | undefined): void {
    if (ours === undefined) return;
    this.#toOurs.set(recorded, ours);
    this.#toRecorded.set(ours, recorded);
  }

  /** A recorded command line for our sessions. A number that no session has had stays as it is. */
  command(line: string): string {
    return line.replace(
      /(-r |\/session)(\d+)/g,
      (_, before, sid) => `${before}${this.#toOurs.get(Number(sid)) ?? sid}`,
    );
  }

  /** Our output with recorded numbers. */
  text(ours: string): string {
    const pattern = /(\[sid: |^tcp: \[|\tSID: |for sid )(\d+)/gm;
    return ours.replace(pattern, (_, before, sid) => `${before}${this.#toRecorded.get(Number(sid)) ?? sid}`);
  }
}

function sessionsIn(text: string): Seen {
  const seen: Seen = new Map();
  const add = (sid: string | undefined, target: string | undefined, portal: string | undefined): void => {
    const key = `${target} ${portal}`;
    seen.set(
      key,
      [...new Set([...(seen.get(key) ?? []), Number(sid)])].sort((a, b) => a - b),
    );
  };
  let [target, portal] = ['', ''];
  for (const line of text.split('\n')) {
    const listed = /^tcp: \[(\d+)\] (\S+),\d+ (\S+) \(/.exec(line);
    if (listed) add(listed[1], listed[3], listed[2]);
    const named = /\[sid: (\d+), target: (.*), portal: (.*),(\d+)\]/.exec(line);
    if (named)
      add(named[1], named[2], named[3]?.includes(':') ? `[${named[3]}]:${named[4]}` : `${named[3]}:${named[4]}`);
    target = /^\s*Target: (\S+)/.exec(line)?.[1] ?? target;
    portal = /^\s*Persistent Portal: (\S+),\d+$/.exec(line)?.[1] ?? portal;
    const sid = /^\s*SID: (\d+)$/.exec(line)?.[1];
    if (sid !== undefined) add(sid, target, portal);
  }
  return seen;
}
