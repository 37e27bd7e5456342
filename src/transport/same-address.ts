// Whether two names lead to the same host, for records that are chosen by address.
import { lookup } from 'node:dns/promises';

/** Each name is asked for once: one that nobody answers for costs seconds. For the life of a command. */
const known = new Map<string, Promise<string | undefined>>();

/** Equal as texts, or the first address of both is the same. A name that does not resolve is equal to none but itself. */
export async function sameAddress(a: string, b: string): Promise<boolean> {
  if (a === b) return true;
  const address = await firstAddress(a);
  return address !== undefined && address === (await firstAddress(b));
}

function firstAddress(name: string): Promise<string | undefined> {
  const before = known.get(name);
  if (before !== undefined) return before;
  const asked = lookup(name).then(
    ({ address }) => address,
    () => undefined,
  );
  known.set(name, asked);
  return asked;
}
