// What is in a folder, for those to whom a folder that is not there is an empty one.
import { readdirSync } from 'node:fs';

/** The names in a folder; none where it cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
