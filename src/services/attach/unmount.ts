// File systems on a device that is about to go: unmounted, or at least written back.
import { runTool } from '../../disk/run.js';
import { kernelName } from '../../disk/sysfs.js';
import { mountsOn } from './leftovers.js';

/**
 * Unmounts what is mounted from `path` and its partitions, newest first; a file system that is busy is written back
 * instead. Returns a line for each. Each program gets `timeoutMs`.
 */
export async function unmountDevice(path: string, timeoutMs: number): Promise<string[]> {
  const lines: string[] = [];
  for (const target of mountsOn(kernelName(path))) {
    try {
      await runTool('umount', ['--', target], { timeoutMs });
      lines.push(`unmounted ${target}`);
    } catch {
      await runTool('sync', ['--file-system', '--', target], { timeoutMs });
      lines.push(`${target} is in use and loses its disk; it has been written back`);
    }
  }
  return lines;
}
