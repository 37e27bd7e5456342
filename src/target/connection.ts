// One TCP connection of a target (RFC 7143 §8.1: the target's connection states), from accept to close. Sans-IO.

import { Opcode, opcodeName, opcodeOf } from '../iscsi/wire/bhs.js';
import { PduFramer, type PduReceiver } from '../iscsi/wire/framer.js';
import { PduWriter } from '../iscsi/wire/pdu-writer.js';
import { ProtocolError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { StreamConsumer, Timed } from '../util/stream.js';
import type { TargetConnectionOptions } from './connection-options.js';
import { FullFeature } from './full-feature.js';
import { LIMITS } from './limits.js';
import { type LoginResult, TargetLogin } from './login.js';
import { Nexus } from './nexus.js';
import { TargetSession } from './session.js';

/** States of §8.1.1 that a target's connection is in while its socket is open. */
export type ConnectionState = 'XPT_UP' | 'IN_LOGIN' | 'LOGGED_IN' | 'LOGOUT_REQUESTED' | 'CLEANUP_WAIT';

export class TargetConnection implements StreamConsumer, Timed, PduReceiver {
  readonly #options: TargetConnectionOptions;
  readonly #framer: PduFramer;
  readonly #writer: PduWriter;
  readonly #acceptedAt: number;
  #login: TargetLogin | null;
  #full: FullFeature | null = null;
  /** A refusal that has to wait: how to send it, and when. */
  #refusal: { readonly answer: () => void; readonly due: number } | null = null;
  #closed = false;

  constructor(options: TargetConnectionOptions) {
    const { context, sink, host, addresses } = options;
    this.#options = options;
    this.#framer = new PduFramer(this, { maxDataSegment: LIMITS.loginDataSegment, maxAhs: 1020, pool: context.pool });
    this.#writer = new PduWriter(sink);
    this.#acceptedAt = host.now();
    this.#login = new TargetLogin({
      context,
      addresses,
      writer: this.#writer,
      complete: (result, accept) => this.#complete(result, accept),
      refused: ({ status, reason, initiatorName, targetName, answer }) => {
        host.event({ kind: 'refuse', initiatorName, targetName, status, reason });
        this.#refuse(answer);
      },
    });
  }

  get state(): ConnectionState {
    if (this.#closed) return 'CLEANUP_WAIT';
    if (this.#full !== null) return this.#full.session.leavingDue === undefined ? 'LOGGED_IN' : 'LOGOUT_REQUESTED';
    return this.#login?.begun ? 'IN_LOGIN' : 'XPT_UP';
  }
  /** The session, once logged in. */
  get session(): TargetSession | null {
    return this.#full?.session ?? null;
  }

  onBytes(chunk: Buffer, owner: RefBuffer): void {
    if (this.#closed) return;
    this.#full?.heard(this.#options.host.now());
    this.#framer.onBytes(chunk, owner);
  }
  readTarget(): Buffer | null {
    return this.#closed ? null : this.#framer.readTarget();
  }
  onTargetFilled(length: number): void {
    if (this.#closed) return;
    this.#full?.heard(this.#options.host.now());
    this.#framer.onTargetFilled(length);
  }
  /** A peer that asks for more than it reads must wait. */
  get paused(): boolean {
    return this.#closed || (this.#full?.session.outputFull ?? false);
  }
  onDrain(): void {
    this.#full?.session.resumeFetchers();
  }

  onPdu(b: Buffer, at: number, ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
    if (this.#closed) return;
    if (this.#full !== null) {
      this.#full.onPdu(b, at, ahs, data, owner);
      return;
    }
    if (opcodeOf(b, at) !== Opcode.LoginRequest) {
      throw new ProtocolError('RFC 7143 §6.3', `${opcodeName(opcodeOf(b, at))} before the end of the login`);
    }
    this.#login?.onRequest(b, at, data);
  }
  onDataDigestError(b: Buffer, at: number): void {
    this.#full?.onDataDigestError(b, at);
  }

  get #loginDeadline(): number {
    return this.#acceptedAt + (this.#login?.timeoutMs ?? LIMITS.loginTimeoutMs);
  }

  get holdsWhilePaused(): boolean {
    return true;
  }
  get deadline(): number | undefined {
    if (this.#closed) return undefined;
    return this.#full === null ? (this.#refusal?.due ?? this.#loginDeadline) : this.#full.deadline;
  }
  handleTimeout(now: number): void {
    if (this.#closed) return;
    if (this.#full !== null) this.#full.handleTimeout(now);
    else if (this.#refusal !== null) {
      if (now >= this.#refusal.due) this.#sendRefusal(this.#refusal.answer);
    } else if (now >= this.#loginDeadline) {
      this.#fault(`no login within ${(this.#loginDeadline - this.#acceptedAt) / 1000} s`);
    }
  }

  /** The socket is gone. Tasks stop; what they had started ends by itself. `broken`: by a fault of the initiator. */
  onClosed(reason: string, broken = false): void {
    this.#login?.close();
    if (!this.#closed && this.#full === null && this.#login?.begun) {
      this.#options.host.event({ kind: 'fault', reason: `closed during login: ${reason}` });
    }
    this.#closed = true;
    this.#full?.session.end(reason, broken ? 'protocol' : 'lost');
  }

  /** Asks the initiator to log out (§11.9.1); a connection that has not logged in is closed. */
  requestLogout(reason: string): void {
    if (this.#full === null) this.#close();
    else this.#full.session.requestLogout(reason);
  }

  /** Drops a connection that has not logged in, to make room. */
  drop(reason: string): void {
    if (this.#full === null) this.#fault(reason);
  }

  #refuse(answer: () => void): void {
    const { host } = this.#options;
    const delay = host.refusalDelayMs?.() ?? 0;
    if (delay === 0) {
      this.#sendRefusal(answer);
      return;
    }
    this.#refusal = { answer, due: host.now() + delay };
    host.changed();
  }

  #sendRefusal(answer: () => void): void {
    answer();
    this.#close();
  }

  #fault(reason: string): void {
    this.#options.host.event({ kind: 'fault', reason });
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#login?.close();
    this.#options.host.close();
  }

  // ---- From login to full feature phase ---------------------------------------------------------------------------

  /**
   * Session reinstatement (§6.3.5): the old session of this initiator port ends, with all that it had started, before
   * the new one is told that it exists. Otherwise a late old write could overwrite a newer one.
   */
  #complete(result: LoginResult, accept: (tsih: number | null) => void): void {
    const { sessions } = this.#options.context;
    const tsih = sessions.allocateTsih();
    const nexus = new Nexus(result.initiatorName, result.isid, result.targetName ?? `discovery ${tsih}`, result.tag);
    const old = sessions.findNexus(nexus.key);
    if (result.targetName === null) {
      sessions.surplusDiscovery()?.terminate('made room for a newer discovery', 'target', () => {});
    } else if (!sessions.hasRoom(result.initiatorName, old)) {
      accept(null);
      return;
    }
    if (old === undefined) {
      this.#begin(result, nexus, tsih, false, accept);
      return;
    }
    old.terminate('replaced by a new login of the same initiator port', 'reinstated', () => {
      if (this.#closed) return;
      // Two logins may have waited for the same old session: the later one replaces the earlier one in turn.
      if (sessions.findNexus(nexus.key) !== undefined) return this.#complete(result, accept);
      this.#begin(result, nexus, tsih, true, accept);
    });
  }

  #begin(result: LoginResult, nexus: Nexus, tsih: number, reinstated: boolean, accept: (tsih: number) => void): void {
    const { context, sink, host, addresses } = this.#options;
    accept(tsih);
    const { params, initiatorName, targetName, tag, luns, commandWindow, cid, cmdSn, statSn, authenticated } = result;
    const header = params.headerDigest === 'CRC32C';
    const data = params.dataDigest === 'CRC32C';
    this.#framer.setDigests(header, data);
    this.#writer.setDigests(header, data);
    this.#framer.setMaxDataSegment(params.maxRecvDataSegmentLength);
    const session = new TargetSession({
      context,
      host,
      close: () => this.#close(),
      sink,
      writer: this.#writer,
      params,
      mostXmit: result.mostXmit,
      tsih,
      initiatorName,
      targetName,
      nexus,
      tag,
      luns,
      commandWindow,
      cid,
      cmdSn,
      statSn,
    });
    context.sessions.add(session);
    this.#login = null;
    this.#full = new FullFeature(session, addresses, host.now());
    host.event({ kind: 'login', initiatorName, targetName, session: tsih, authenticated, reinstated });
    host.changed();
  }
}
