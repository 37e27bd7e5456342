// What every edit of a saved configuration gives back, and how it refuses. Edits are pure: what the host has is a parameter.
import { AppError, type ErrorCode } from '../../util/errors.js';
import type { SaveConfig } from '../model.js';

/** A configuration that was changed, and what targetcli says of it. */
export interface Edit {
  readonly config: SaveConfig;
  readonly lines: readonly string[];
  /** The path of what was made, for auto_cd_after_create. */
  readonly created?: string;
}

/** An edit that was refused: the message is targetcli's own, `lines` what it had said by then. */
export class RefusedEdit extends AppError {
  readonly lines: readonly string[];
  constructor(
    code: ErrorCode,
    message: string,
    { lines = [], hint }: { lines?: readonly string[]; hint?: string } = {},
  ) {
    super(code, message, hint === undefined ? {} : { hint });
    this.lines = lines;
  }
}

/** A parameter that cannot be what it is. */
export function invalid(message: string, hint?: string): RefusedEdit {
  return new RefusedEdit('ERR_USAGE', message, hint === undefined ? {} : { hint });
}

/** Something that is there already, or held. */
export function exists(message: string): RefusedEdit {
  return new RefusedEdit('ERR_BUSY', message);
}

/** Something that is not there. */
export function absent(message: string): RefusedEdit {
  return new RefusedEdit('ERR_NOT_FOUND', message);
}

/** Where rtslib would look in the kernel for the iSCSI fabric: targetcli's messages name objects by it. */
export const CONFIGFS = '/sys/kernel/config/target';

/** What is random in a new object. */
export interface Chance {
  /** A UUID of version 4, in lower case. */
  readonly uuid: () => string;
}

/** rtslib's name of a link in configfs: the end of a UUID. */
export function newAlias({ uuid }: Chance): string {
  return uuid().slice(-10);
}
