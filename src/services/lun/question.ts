// Questions about a LUN that are answered with yes or no, for scripts: what it is, and what it can do.
import { kernelName, kernelPartitions, mountPointsOf, mounts, sysAttribute } from '../../disk/sysfs.js';
import type { LunAbilities, LunDetails } from './info.js';

/** What can be asked with --is. */
export const IS_WORDS = ['read-only', 'attached', 'mounted', 'rotational', 'thin'] as const;
export type IsWord = (typeof IS_WORDS)[number];

/** What can be asked with --can: the NBD export's flags, and `map`. */
export const CAN_WORDS = [
  ...(['write', 'flush', 'fua', 'trim', 'zero', 'multi-conn', 'df', 'cache', 'fast-zero', 'map'] as const),
] as const;
export type CanWord = (typeof CAN_WORDS)[number];

/** Whether the LUN is so now. `mounted`: its device or a partition, where this process sees mounts. */
export function lunIs(word: IsWord, { device, rotationRate, provisioning }: LunDetails): boolean {
  switch (word) {
    case 'read-only':
      return device.readOnly;
    case 'attached':
      return device.path !== null;
    case 'mounted':
      return device.path !== null && isMounted(device.path);
    case 'rotational':
      // 1 says that the medium does not rotate; a unit that says nothing is not taken for one that does.
      return rotationRate !== null && rotationRate > 1;
    case 'thin':
      return provisioning?.type === 'thin';
  }
}

/** Whether a client of its NBD export can have that done now. */
export function lunCan(word: CanWord, { can }: Pick<LunDetails, 'can'>): boolean {
  return Object.entries(can).some(([name, able]) => able && wordOf(name as keyof LunAbilities) === word);
}

/** `multi-conn` for `multiConn`. */
export function wordOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function isMounted(path: string): boolean {
  const name = kernelName(path);
  const nodes = [{ name, dev: sysAttribute(name, 'dev') ?? '' }, ...kernelPartitions(name)];
  const all = mounts();
  return nodes.some((node) => mountPointsOf(`/dev/${node.name}`, node.dev, all).length > 0);
}
