// What a mode of the iscsiadm face is given.
import type { Mode, Options } from './options.js';
import type { Talk } from './talk.js';

export interface Call {
  readonly mode: Mode;
  readonly options: Options;
  readonly talk: Talk;
  /** Aborted by Ctrl-C or SIGTERM, with the AppError to end with as its reason. */
  readonly signal: AbortSignal;
}
