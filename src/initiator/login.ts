// The login phase as text in, text out: security stage with CHAP, operational stage, redirection (RFC 7143 §6, §11.12–11.13).
import { ChapAlgorithm, ChapChallenges, ChapInitiator } from '../iscsi/chap.js';
import { Negotiator, type OperationalParams } from '../iscsi/negotiation.js';
import { readPortal } from '../iscsi/portal.js';
import { LoginStage } from '../iscsi/wire/login-request.js';
import type { LoginResponse } from '../iscsi/wire/login-response.js';
import { findKey, LOGIN_TEXT, TextAssembler, type TextPair } from '../iscsi/wire/text.js';
import { type AppError, ProtocolError } from '../util/errors.js';
import { printable } from '../util/printable.js';
import {
  noCommonMethod,
  notRefused,
  onlyNoneOffered,
  refusedByStatus,
  targetUnproven,
  wantsChap,
} from './login-refusal.js';
import { DEFAULT_WISHES, type LoginOptions, type Redirect } from './options.js';

/** What the connection does next. */
export type LoginStep =
  | {
      readonly kind: 'send';
      readonly transit: boolean;
      readonly csg: number;
      readonly nsg: number;
      readonly pairs: TextPair[];
    }
  | {
      readonly kind: 'done';
      readonly params: OperationalParams;
      readonly tpgt: number | null;
      readonly targetAlias: string | null;
      readonly authMethod: 'None' | 'CHAP';
      /** The CHAP_A number that the target chose; null without CHAP. */
      readonly chapAlgorithm: number | null;
    }
  | { readonly kind: 'redirect'; readonly to: Redirect }
  | { readonly kind: 'failed'; readonly error: AppError; readonly retryWithMd5: boolean };

/** Challenges of all our logins that run at once: none of them may be reflected to us as a target's own. */
const CHALLENGES = new ChapChallenges();
/** Requests of one login: a target that never comes to the point is given up. */
const MOST_ROUNDS = 64;

type Phase = 'method' | 'chap' | 'operational';

export class LoginExchange {
  readonly #options: LoginOptions;
  readonly #chap: ChapInitiator | null;
  readonly #negotiator: Negotiator;
  readonly #text = new TextAssembler(LOGIN_TEXT);
  #phase: Phase;
  #rounds = 0;
  #offered = false;
  #targetAlias: string | null = null;
  #tpgt: number | null = null;

  constructor(options: LoginOptions) {
    this.#options = options;
    const { credentials } = options;
    this.#chap =
      credentials === null
        ? null
        : new ChapInitiator({
            user: credentials.user,
            secret: credentials.secret,
            algorithms: credentials.algorithms,
            ...(credentials.mutual === undefined ? {} : { mutual: credentials.mutual }),
            challenges: CHALLENGES,
          });
    this.#negotiator = new Negotiator({
      role: 'initiator',
      discovery: options.targetName === null,
      wishes: { ...DEFAULT_WISHES, ...options.negotiate },
    });
    this.#phase = options.question ? 'operational' : 'method';
  }

  /**
   * The first request, always of the security stage: tgt ends the old nexus of a session that comes back (RFC 7143 §6.3.5) only on
   * the way out of that stage, and without it a write of the lost connection could still reach the disk.
   */
  start(): LoginStep {
    const pairs: TextPair[] = [['InitiatorName', this.#options.initiatorName]];
    if (this.#options.initiatorAlias !== undefined) pairs.push(['InitiatorAlias', this.#options.initiatorAlias]);
    if (this.#options.targetName === null) pairs.push(['SessionType', 'Discovery']);
    else pairs.push(['SessionType', 'Normal'], ['TargetName', this.#options.targetName]);
    if (this.#options.question) return { ...this.#operational(pairs), transit: false, nsg: LoginStage.Operational };
    if (this.#chap === null) return this.#security(true, [...pairs, ['AuthMethod', 'None']]);
    return this.#security(false, [...pairs, ['AuthMethod', 'CHAP']]);
  }

  /** The target's answer. Throws ProtocolError; that and a failed step both end the login. */
  receive(pdu: LoginResponse, data: Buffer): LoginStep {
    if (++this.#rounds > MOST_ROUNDS) throw new ProtocolError('RFC 7143 §6.3', 'the login never comes to an end');
    if (pdu.statusClass > 1) return this.#refused((pdu.statusClass << 8) | pdu.statusDetail);
    if (this.#options.question) return this.#fail(notRefused(this.#options));
    if (pdu.continues && pdu.transit) throw new ProtocolError('RFC 7143 §11.13.2', 'Login Response with both T and C');
    const pairs = this.#text.push(data, pdu.continues);
    if (pdu.statusClass === 1) return this.#redirected(pdu.statusDetail, pairs ?? []);
    const stage = this.#phase === 'operational' ? LoginStage.Operational : LoginStage.Security;
    if (pdu.csg !== stage) {
      throw new ProtocolError(
        'RFC 7143 §11.13.3',
        `Login Response in stage ${pdu.csg}, the login is in stage ${stage}`,
      );
    }
    if (pairs === null) return { kind: 'send', transit: false, csg: stage, nsg: stage, pairs: [] };
    this.#note(pairs);
    return stage === LoginStage.Operational ? this.#inOperational(pdu, pairs) : this.#inSecurity(pdu, pairs);
  }

  /**
   * Whether a failure now may come from the algorithm list and not from the secret: no challenge has come yet, or the target
   * chose number 7, which some take for another hash. A rejected answer to another algorithm is never tried again weaker.
   */
  get retryWithMd5(): boolean {
    const algorithms = this.#options.credentials?.algorithms;
    if (
      algorithms === undefined ||
      !algorithms.includes(ChapAlgorithm.MD5) ||
      algorithms.every((a) => a === ChapAlgorithm.MD5)
    )
      return false;
    if (!this.#offered || this.#phase === 'operational') return false;
    return this.#chap?.answered ? this.#chap.algorithm === ChapAlgorithm.SHA256 : true;
  }

  /** Forgets what CHAP holds. Idempotent. */
  close(): void {
    this.#chap?.close();
  }

  #inSecurity(pdu: LoginResponse, pairs: TextPair[]): LoginStep {
    if (this.#chap === null) return this.#withoutCredentials(pdu, findKey(pairs, 'AuthMethod'));
    return this.#withChap(this.#chap, pdu, pairs);
  }
  #withoutCredentials(pdu: LoginResponse, method: string | undefined): LoginStep {
    if (method !== undefined && method !== 'None') return this.#fail(wantsChap(this.#options, method));
    return pdu.transit ? this.#afterSecurity(pdu) : this.#security(true, []);
  }
  #withChap(chap: ChapInitiator, pdu: LoginResponse, pairs: TextPair[]): LoginStep {
    if (this.#phase === 'method') {
      const method = findKey(pairs, 'AuthMethod');
      if (method !== 'CHAP') return this.#fail(this.#wrongMethod(method, pdu.transit));
      if (pdu.transit) return this.#fail(onlyNoneOffered(this.#options));
      this.#phase = 'chap';
      this.#offered = true;
      return this.#security(false, chap.start());
    }
    const wasAnswered = chap.answered;
    if (wasAnswered && this.#unproven(pairs)) return this.#fail(targetUnproven(this.#options));
    if (!wasAnswered && pdu.transit) return this.#fail(onlyNoneOffered(this.#options));
    const answer = chap.receive(pairs);
    if (!pdu.transit) return this.#security(chap.answered, answer);
    return chap.done ? this.#afterSecurity(pdu) : this.#fail(targetUnproven(this.#options));
  }
  #afterSecurity(pdu: LoginResponse): LoginStep {
    if (pdu.nsg === LoginStage.FullFeature) return this.#done();
    if (pdu.nsg !== LoginStage.Operational) {
      throw new ProtocolError('RFC 7143 §11.13.3', `the target goes from stage 0 to stage ${pdu.nsg}`);
    }
    this.#phase = 'operational';
    return this.#operational(this.#negotiator.offer());
  }
  #wrongMethod(method: string | undefined, transit: boolean): AppError {
    if (method === 'None' || (method === undefined && transit)) return onlyNoneOffered(this.#options);
    return noCommonMethod(this.#options, method ?? '');
  }
  /** With mutual CHAP the answer to our response must carry the target's own. */
  #unproven(pairs: TextPair[]): boolean {
    return this.#options.credentials?.mutual !== undefined && findKey(pairs, 'CHAP_R') === undefined;
  }
  #inOperational(pdu: LoginResponse, pairs: TextPair[]): LoginStep {
    const answer = this.#negotiator.receive(pairs);
    if (!pdu.transit) return this.#operational(answer);
    if (pdu.nsg !== LoginStage.FullFeature) {
      throw new ProtocolError('RFC 7143 §11.13.3', `the target goes from stage 1 to stage ${pdu.nsg}`);
    }
    return this.#done();
  }
  #done(): LoginStep {
    return {
      kind: 'done',
      params: this.#negotiator.result(),
      tpgt: this.#tpgt,
      targetAlias: this.#targetAlias,
      authMethod: this.#chap === null ? 'None' : 'CHAP',
      chapAlgorithm: this.#chap?.algorithm ?? null,
    };
  }
  #refused(status: number): LoginStep {
    const offered = this.#offered && this.#phase !== 'operational';
    const error = refusedByStatus(this.#options, status, { offered, answered: this.#chap?.algorithm });
    // Only what a target says to an algorithm list that it dislikes; its access list and its load are no matter of CHAP.
    const mayBeAlgorithm = status === 0x0200 || status === 0x0201;
    return { kind: 'failed', error, retryWithMd5: mayBeAlgorithm && this.retryWithMd5 };
  }
  #redirected(detail: number, pairs: TextPair[]): LoginStep {
    const value = findKey(pairs, 'TargetAddress');
    const address = value === undefined ? null : readPortal(value);
    if (detail < 1 || detail > 2 || address === null) {
      throw new ProtocolError(
        'RFC 7143 §11.13.5',
        `redirection 0x01${detail.toString(16).padStart(2, '0')} without a usable TargetAddress`,
      );
    }
    return { kind: 'redirect', to: { address: address.address, port: address.port, permanent: detail === 2 } };
  }
  #note(pairs: TextPair[]): void {
    const alias = findKey(pairs, 'TargetAlias');
    if (alias !== undefined) this.#targetAlias = printable(alias, 80);
    const tag = findKey(pairs, 'TargetPortalGroupTag');
    if (tag !== undefined && /^\d{1,5}$/.test(tag)) this.#tpgt = Number(tag);
  }
  #fail(error: AppError): LoginStep {
    return { kind: 'failed', error, retryWithMd5: false };
  }
  #security(transit: boolean, pairs: TextPair[]): LoginStep {
    const nsg = transit ? LoginStage.Operational : LoginStage.Security;
    return { kind: 'send', transit, csg: LoginStage.Security, nsg, pairs };
  }
  #operational(pairs: TextPair[]): Extract<LoginStep, { kind: 'send' }> {
    return { kind: 'send', transit: true, csg: LoginStage.Operational, nsg: LoginStage.FullFeature, pairs };
  }
}
