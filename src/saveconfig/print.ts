// A configuration as the text of saveconfig.json: rtslib's form to the byte, so that its tools take the file and diffs stay small.
import type { SaveConfig } from './model.js';

/** Keys in order, two spaces a level, ASCII only, a newline at the end. */
export function printSaveConfig(config: SaveConfig): string {
  return `${asciiOnly(JSON.stringify(sorted(config), null, 2))}\n`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const object: Record<string, unknown> = Object.create(null);
  // A key that looks like a number would go first in any object: its place in the file is a matter of taste, its value is not.
  for (const key of Object.keys(value).sort()) object[key] = sorted((value as Record<string, unknown>)[key]);
  return object;
}

function asciiOnly(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
