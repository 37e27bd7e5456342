// What a session worker and the process that starts it say to each other over the worker's standard streams.
import type { ErrorJson } from '../../transport/control.js';
import type { SessionInfo } from './info.js';

/** The second line of input: the worker is on its own from now on. Input that ends before means: give up, leave nothing. */
export const RELEASE = 'release';

/** One line of output. After `ready` or `error` there is no more. */
export type WorkerAnswer =
  | { readonly progress: string }
  | { readonly ready: SessionInfo }
  | { readonly error: ErrorJson };
