// `~` in a path, as a shell takes it.
import { homedir } from 'node:os';

export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? `${homedir()}${path.slice(1)}` : path;
}
