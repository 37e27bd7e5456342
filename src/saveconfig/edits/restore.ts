// Putting a saved configuration, or one object of it, back: beside what is there, or in its place.
import type { SaveConfig } from '../model.js';
import { type Edit, exists } from './edit.js';

export interface RestoreOptions {
  /** What is there, or the one object that is named, goes first. */
  readonly clearExisting: boolean;
  /** Only the target of this name. */
  readonly target?: string | undefined;
  /** Only the storage object of this name. */
  readonly storageObject?: string | undefined;
}

/** @throws RefusedEdit ERR_BUSY for the first object that is there already; nothing is restored then */
export function restoreInto(current: SaveConfig, saved: SaveConfig, options: RestoreOptions): Edit {
  const { target, storageObject } = options;
  const everything = target === undefined && storageObject === undefined;
  const takesObject = ({ name }: { name: string }): boolean => everything || name === storageObject;
  const takesTarget = ({ wwn }: { wwn: string }): boolean => everything || wwn === target;
  const objects = saved.storage_objects.filter(takesObject);
  const targets = saved.targets.filter(takesTarget);
  const base = options.clearExisting
    ? {
        ...current,
        storage_objects: current.storage_objects.filter((object) => !takesObject(object)),
        targets: current.targets.filter((one) => !takesTarget(one)),
      }
    : current;
  for (const { plugin, name } of objects) {
    if (base.storage_objects.some((object) => object.plugin === plugin && object.name === name))
      throw exists(`storageobject '${plugin}:${name}' exist not restoring`);
  }
  for (const { fabric, wwn } of targets) {
    if (base.targets.some((one) => one.fabric === fabric && one.wwn === wwn))
      throw exists(`target with wwn ${wwn} exist, not restoring`);
  }
  return {
    config: {
      ...(everything && options.clearExisting ? saved : base),
      storage_objects: [...objects, ...base.storage_objects],
      targets: [...targets, ...base.targets],
      fabric_modules:
        everything && (options.clearExisting || base.fabric_modules.length === 0)
          ? saved.fabric_modules
          : base.fabric_modules,
    },
    lines: [],
  };
}

/** Nothing is left but what is no object. */
export function clearAll(config: SaveConfig): SaveConfig {
  return { ...config, storage_objects: [], targets: [], fabric_modules: [] };
}
