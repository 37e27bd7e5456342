// Starts a target: of a configuration, or of the disks of one command line, which is made into one.
import type { SaveConfig } from '../../saveconfig/model.js';
import { LiveTarget } from './live-target.js';
import { oneLineConfig } from './one-line.js';
import type { ConfigServeOptions, ServedDisk, ServeOptions, Server } from './options.js';

/**
 * Starts a target with one portal group and the given disks as LUN 0, 1 ….
 * @throws AppError for a disk or a portal that cannot be had; files made by this call are removed again then
 */
export async function startServe(options: ServeOptions): Promise<Server> {
  options.signal?.throwIfAborted();
  const { readOnly, reservations, signal } = options;
  const live = new LiveTarget({ readOnly, reservations, onEvent: options.onEvent ?? (() => {}) });
  await live.apply(await oneLineConfig(options), null, { create: true, unnamed: true, signal });
  return serverOf(live);
}

/**
 * Starts what a configuration describes: all of it, or nothing, or, where `lenient` allows it, what can be had.
 * @throws AppError that names the object
 */
export async function startConfigured(config: SaveConfig, options: ConfigServeOptions): Promise<Server> {
  const { lenient, reservations, signal } = options;
  const live = new LiveTarget({ readOnly: false, reservations, onEvent: options.onEvent ?? (() => {}) });
  const { failed } = await live.apply(config, null, { create: false, lenient, signal });
  return { ...serverOf(live), failed };
}

function serverOf(live: LiveTarget): Server {
  return {
    live,
    failed: [],
    portals: live.portals,
    targetName: live.config.targets[0]?.wwn ?? null,
    disks: disksOf(live),
    close: () => live.close(),
  };
}

/** One for each LUN of each portal group. */
function disksOf(live: LiveTarget): ServedDisk[] {
  const targets = live.config.targets.filter(({ fabric }) => fabric === 'iscsi');
  return targets.flatMap(({ wwn, tpgs }) =>
    tpgs.flatMap(({ tag, luns }) =>
      luns.flatMap(({ index, storage_object }) => {
        const served = live.objects.get(storage_object);
        if (served === undefined) return [];
        const { object, name, path, device, created } = served.backstore;
        const { plugin: kind } = object;
        return [{ targetName: wwn, tag, lun: index, kind, name, path, sizeBytes: device.sizeBytes, created }];
      }),
    ),
  );
}
