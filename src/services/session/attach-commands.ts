// What a session's worker does on `lun attach` and `lun detach`: a device for a LUN of a session that is up, and its end.
import type { ControlHandler } from '../../transport/control.js';
import { AppError } from '../../util/errors.js';
import { planAttach } from '../attach/attach.js';
import type { DeviceWishes, SessionAttachments } from './attachments.js';
import type { DeviceChange } from './control.js';
import type { ExportedLun } from './exports.js';
import type { DeviceInfo } from './info.js';

type Params = Readonly<Record<string, unknown>>;

/** Does `work` in turn with the LUN that the parameters name, and describes it afterwards. */
export type OnLun = (params: Params, work: (entry: ExportedLun) => Promise<void>) => Promise<DeviceInfo>;

/** The operations of the control socket, by name. */
export function attachCommands(
  attachments: SessionAttachments,
  onLun: OnLun,
): Readonly<Record<string, ControlHandler>> {
  const change = async (params: Params, work: (entry: ExportedLun) => Promise<boolean>): Promise<DeviceChange> => {
    let changed = false;
    const device = await onLun(params, async (entry) => {
      changed = await work(entry);
    });
    return { device, changed };
  };
  return {
    attach: (params, gone) => change(params, (entry) => attach(attachments, entry, wishesOf(params), gone)),
    detach: (params) =>
      change(params, async (entry) => {
        if (entry.attach === 'none') return false;
        await attachments.detach(entry);
        return true;
      }),
  };
}

interface Wishes extends DeviceWishes {
  /** null: whatever there is, else nbd. */
  readonly mode: 'nbd' | 'fuse' | null;
}

async function attach(
  attachments: SessionAttachments,
  entry: ExportedLun,
  { mode, ...wishes }: Wishes,
  gone: AbortSignal,
): Promise<boolean> {
  if (entry.attach !== 'none') {
    refuseOther(entry, mode, wishes);
    return false;
  }
  gone.throwIfAborted();
  const way = mode ?? 'nbd';
  await planAttach(way);
  await attachments.attach(entry, way, gone, wishes);
  return true;
}

/** @throws AppError ERR_BUSY where there is a device that is not as wished */
function refuseOther(
  { name, attach: way, path, readOnlyDevice }: ExportedLun,
  mode: Wishes['mode'],
  wishes: DeviceWishes,
) {
  const same = (mode === null || mode === way) && (wishes.readOnly !== true || readOnlyDevice);
  if (same) return;
  const how = `${way}${readOnlyDevice ? ', read-only' : ', for writing'}`;
  throw new AppError('ERR_BUSY', `${name} is attached as ${path} already (${how})`, {
    hint: `lunctl lun detach ${path?.replace('/dev/', '')} first`,
  });
}

function wishesOf({ mode, readOnly, connections }: Params): Wishes {
  if (mode !== 'auto' && mode !== 'nbd' && mode !== 'fuse') {
    throw new AppError('ERR_USAGE', `cannot attach by ${JSON.stringify(String(mode).slice(0, 32))}`);
  }
  if (
    connections !== undefined &&
    !(Number.isInteger(connections) && Number(connections) >= 1 && Number(connections) <= 4)
  ) {
    throw new AppError('ERR_USAGE', 'connections: 1 to 4');
  }
  return {
    mode: mode === 'auto' ? null : mode,
    readOnly: readOnly === true,
    ...(connections === undefined ? {} : { connections: Number(connections) }),
  };
}
