// Starts a session: makes its folder, starts its worker and waits until every LUN is usable.
import type { Paths } from './paths.js';
import type { LoginRequest, SessionInfo } from './session-info.js';

export interface LoginOptions {
  readonly paths: Pick<Paths, 'dbDir' | 'runDir'>;
  readonly signal?: AbortSignal | undefined;
  /** One line about what is being done now. */
  onProgress?(line: string): void;
}

/** A session that runs inside this process. */
export interface ForegroundSession {
  readonly info: SessionInfo;
  /** Settles when the session has ended and nothing of it is left; rejects if it ended by a failure. */
  readonly ended: Promise<void>;
  /** Ends it in order, as `logout` does; a device in use makes it throw ERR_BUSY unless `force`. */
  logout(options?: { readonly force?: boolean }): Promise<void>;
}
export declare function login(request: LoginRequest, options: LoginOptions): Promise<SessionInfo>;
export declare function loginForeground(request: LoginRequest, options: LoginOptions): Promise<ForegroundSession>;
