// The login phase of a target (RFC 7143 §6.3, §11.12, §11.13): stages, names, CHAP, operational keys, session identity.
import { ChapTarget } from '../iscsi/chap.js';
import { ANSWERS, keyNamed } from '../iscsi/keys.js';
import { LoginStatus } from '../iscsi/login-status.js';
import { isIscsiName } from '../iscsi/names.js';
import { Negotiator, type OperationalParams } from '../iscsi/negotiation.js';
import { formatAddress } from '../iscsi/portal.js';
import { StatusSequence } from '../iscsi/windows.js';
import { type LoginRequest, LoginStage, parseLoginRequest } from '../iscsi/wire/login-request.js';
import { emitLoginResponse } from '../iscsi/wire/login-response.js';
import type { PduWriter } from '../iscsi/wire/pdu-writer.js';
import { emitText, findKey, TextAssembler, type TextPair } from '../iscsi/wire/text.js';
import { ProtocolError } from '../util/errors.js';
import type { AuthConfig, RedirectConfig } from './config.js';
import type { TargetContext } from './context.js';
import type { ConnectionAddresses } from './events.js';
import { wishesOf } from './group-parameters.js';
import { LIMITS } from './limits.js';
import { initiatorPortName } from './nexus.js';
import type { MappedLun, PortalGroup } from './target-node.js';

/** What a login has come to. */
export interface LoginResult {
  readonly params: OperationalParams;
  /** Data segments are never longer than this, whatever the initiator takes. Bytes. */
  readonly mostXmit: number;
  readonly initiatorName: string;
  readonly isid: Buffer;
  readonly cid: number;
  readonly cmdSn: number;
  /** Null for a discovery session. */
  readonly targetName: string | null;
  readonly tag: number;
  readonly luns: ReadonlyMap<number, MappedLun>;
  /** How many commands it may have under way. */
  readonly commandWindow: number;
  readonly authenticated: boolean;
  readonly statSn: StatusSequence;
}

export interface LoginOptions {
  readonly context: TargetContext;
  readonly writer: PduWriter;
  readonly addresses: ConnectionAddresses;
  /**
   * The login is complete but for its last response: make the session, then call `accept` with its TSIH. Null means
   * there is no room for it; `accept` may be called later.
   */
  complete(result: LoginResult, accept: (tsih: number | null) => void): void;
  /** The login is refused: call `answer`, which writes the response, now or later; then close. */
  refused(refusal: LoginRefusal): void;
}

export interface LoginRefusal {
  readonly status: number;
  /** For the log. */
  readonly reason: string;
  readonly initiatorName: string | null;
  readonly targetName: string | null;
  readonly answer: () => void;
}

/** Ends a login: a status of §11.13.5 and maybe keys for the initiator, a reason for the log. */
class Refusal extends Error {
  readonly status: number;
  readonly pairs: readonly TextPair[];
  constructor(status: number, reason: string, pairs: readonly TextPair[] = []) {
    super(reason);
    this.status = status;
    this.pairs = pairs;
  }
}

interface Identity {
  readonly initiatorName: string;
  readonly targetName: string | null;
  /** Null for a discovery session. */
  readonly group: PortalGroup | null;
  readonly luns: ReadonlyMap<number, MappedLun>;
  readonly commandWindow: number;
  readonly auth: AuthConfig;
  readonly authenticationRequired: boolean;
}

/** Said once, by the first request: the rest of the login stands on it (§6.3). */
const FIRST_ONLY = ['InitiatorName', 'SessionType', 'TargetName'] as const;

export class TargetLogin {
  readonly #options: LoginOptions;
  #text = new TextAssembler();
  readonly #statSn = new StatusSequence(0);
  #exchanges = 0;
  #first: { readonly isid: Buffer; readonly cid: number; readonly itt: number; readonly cmdSn: number } | null = null;
  #stage: number = LoginStage.Security;
  #identity: Identity | null = null;
  #claimedName: string | null = null;
  #claimedTarget: string | null = null;
  #chap: ChapTarget | null = null;
  #authenticated = false;
  /** The security stage has settled on None, or CHAP has succeeded. */
  #secured = false;
  #negotiator: Negotiator | null = null;
  #over = false;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** Whether a Login PDU has come: such a connection is not the first to go when there are too many. */
  get begun(): boolean {
    return this.#exchanges > 0;
  }

  /** From accept to full feature phase, in milliseconds. It is the portal group's once that is known. */
  get timeoutMs(): number {
    return this.#identity?.group?.loginTimeoutMs ?? LIMITS.loginTimeoutMs;
  }

  /** One Login Request. @throws ProtocolError for what no response can answer. */
  onRequest(b: Buffer, at: number, data: Buffer): void {
    if (this.#over) throw new ProtocolError('RFC 7143 §6.3', 'a Login Request after the end of the login');
    if (++this.#exchanges > LIMITS.loginExchanges) {
      throw new ProtocolError('RFC 7143 §6.3', `a login of more than ${LIMITS.loginExchanges} requests`);
    }
    const request = parseLoginRequest(b, at);
    try {
      this.#check(request);
      const pairs = this.#text.push(data, request.continues);
      if (pairs === null) this.#respond(request, [], false);
      else this.#proceed(request, pairs);
    } catch (error) {
      if (error instanceof Refusal) {
        this.#refuse(request, error.status, error.message, error.pairs);
        return;
      }
      // Keys that break the rules of §6 and §13 are an error of the initiator, and it is told so.
      if (error instanceof ProtocolError) {
        this.#refuse(request, LoginStatus.InitiatorError, error.message);
        return;
      }
      throw error;
    }
  }

  /** Forgets secrets and challenges. Idempotent. */
  close(): void {
    this.#over = true;
    this.#chap?.close();
    this.#chap = null;
  }

  /** The rules for the header (§11.12). */
  #check(request: LoginRequest): void {
    if (request.versionMin > 0) throw new Refusal(LoginStatus.UnsupportedVersion, `version ${request.versionMin} only`);
    const { csg, nsg } = request;
    const knownStage = csg === LoginStage.Security || csg === LoginStage.Operational;
    if (!knownStage || (request.transit && (nsg <= csg || nsg === 2)) || (request.transit && request.continues)) {
      throw new Refusal(LoginStatus.InitiatorError, 'stages that do not follow each other');
    }
    const first = this.#first;
    if (first === null) {
      const { cid, itt, cmdSn } = request;
      this.#first = { isid: Buffer.from(request.isid), cid, itt, cmdSn };
      this.#stage = csg;
      return;
    }
    if (csg !== this.#stage) throw new Refusal(LoginStatus.InitiatorError, 'a stage that was not agreed on');
    if (!first.isid.equals(request.isid) || first.cid !== request.cid || first.itt !== request.itt) {
      throw new Refusal(LoginStatus.InitiatorError, 'ISID, CID or task tag changed during the login');
    }
  }

  /**
   * A connection for an existing session (§6.3.1): at MaxConnections=1 and ErrorRecoveryLevel=0 there is no such thing. A
   * session of another initiator port or target is none of its business.
   */
  #refuseJoining(tsih: number, isid: Buffer, initiatorName: string, targetName: string | null): void {
    const session = this.#options.context.sessions.find(tsih);
    const port = initiatorPortName(initiatorName, isid);
    if (targetName === null || session?.targetName !== targetName || session.initiatorPort !== port) {
      throw new Refusal(LoginStatus.SessionDoesNotExist, `session ${tsih} does not exist`);
    }
    throw new Refusal(LoginStatus.TooManyConnections, `session ${tsih} has its connection`);
  }

  #proceed(request: LoginRequest, pairs: readonly TextPair[]): void {
    const out: TextPair[] = [];
    checkTwice(pairs);
    if (this.#identity === null) {
      this.#identity = this.#identify(pairs);
      const { group, initiatorName, targetName } = this.#identity;
      if (request.tsih !== 0) this.#refuseJoining(request.tsih, request.isid, initiatorName, targetName);
      if (group !== null) {
        const { alias = this.#options.context.node.alias, tag } = group.config;
        if (alias !== null) out.push(['TargetAlias', alias]);
        out.push(['TargetPortalGroupTag', String(tag)]);
      }
    } else this.#checkSame(this.#identity, pairs);
    if (request.csg === LoginStage.Security) this.#security(this.#identity, request, pairs, out);
    else this.#operational(this.#identity, request, pairs, out);
  }

  /** Who it is and what it wants cannot change on the way, with other rights than those that were checked. */
  #checkSame({ initiatorName, targetName }: Identity, pairs: readonly TextPair[]): void {
    const said = [initiatorName, targetName === null ? 'Discovery' : 'Normal', targetName];
    for (const [index, key] of FIRST_ONLY.entries()) {
      const value = findKey(pairs, key);
      if (value !== undefined && value !== said[index]) {
        throw new Refusal(LoginStatus.InitiatorError, `${key} changed during the login`);
      }
    }
  }

  /** The first keys: who wants what (§6.3, §13.4 ff.). */
  #identify(pairs: readonly TextPair[]): Identity {
    const initiatorName = findKey(pairs, 'InitiatorName');
    if (initiatorName === undefined) throw new Refusal(LoginStatus.MissingParameter, 'no InitiatorName');
    if (!isIscsiName(initiatorName)) throw new Refusal(LoginStatus.InitiatorError, 'InitiatorName is no iSCSI name');
    this.#claimedName = initiatorName;
    const type = findKey(pairs, 'SessionType') ?? 'Normal';
    if (type === 'Discovery') return this.#identifyDiscovery(initiatorName);
    if (type !== 'Normal') throw new Refusal(LoginStatus.SessionTypeNotSupported, 'an unknown SessionType');
    const targetName = findKey(pairs, 'TargetName');
    if (targetName === undefined) throw new Refusal(LoginStatus.MissingParameter, 'no TargetName');
    if (!isIscsiName(targetName)) throw new Refusal(LoginStatus.NotFound, 'TargetName is no iSCSI name');
    this.#claimedTarget = targetName;
    const { address, port } = this.#options.addresses.local;
    const group = this.#options.context.node.portalGroup(targetName, address, port);
    if (group === null) throw new Refusal(LoginStatus.NotFound, `no target ${targetName} here`);
    if (!group.config.enabled) throw new Refusal(LoginStatus.ServiceUnavailable, `${targetName} is not enabled here`);
    const grant = group.grantFor(initiatorName);
    if (grant === null) throw new Refusal(LoginStatus.AuthorizationFailure, 'not in the ACL');
    if (group.config.redirect) throw redirection(group.config.redirect);
    return { initiatorName, targetName, group, ...grant };
  }

  #identifyDiscovery(initiatorName: string): Identity {
    const auth = this.#options.context.node.discoveryAuth ?? { account: null, mutual: null };
    const grant = { luns: new Map(), commandWindow: LIMITS.window, auth };
    return { initiatorName, targetName: null, group: null, ...grant, authenticationRequired: auth.account !== null };
  }

  // ---- Security stage, §6.3.2 and §12.1 ---------------------------------------------------------------------------

  #security(identity: Identity, request: LoginRequest, pairs: readonly TextPair[], out: TextPair[]): void {
    const methods = findKey(pairs, 'AuthMethod');
    out.push(...answersOutOfPlace(pairs));
    if (this.#chap !== null) this.#answerChap(this.#chap, pairs, out);
    else if (methods !== undefined && !this.#secured) this.#chooseMethod(identity, methods.split(','), out);
    else if (request.transit) this.#withoutProof(identity);
    const transit = request.transit && this.#secured;
    if (transit && request.nsg === LoginStage.FullFeature) {
      // Straight to full feature phase: every operational key keeps its default.
      this.#finish(identity, request, this.#operationalKeys(identity), out);
      return;
    }
    this.#respond(request, out, transit);
    if (transit) this.#stage = LoginStage.Operational;
  }

  /** §12.1: the first method of the initiator's list that will do. */
  #chooseMethod(identity: Identity, methods: readonly string[], out: TextPair[]): void {
    const { auth, authenticationRequired } = identity;
    const provable = auth.account !== null || authenticationRequired;
    const method = methods.find((name) => (name === 'None' ? !authenticationRequired : name === 'CHAP' && provable));
    if (method === 'None') {
      this.#withoutProof(identity);
      out.push(['AuthMethod', 'None']);
      return;
    }
    if (!methods.includes('CHAP')) {
      throw new Refusal(LoginStatus.AuthenticationFailure, provable ? 'CHAP not offered' : 'no common AuthMethod');
    }
    this.#beginChap(identity);
    out.push(['AuthMethod', 'CHAP']);
  }

  /** Where no account is configured no answer is right; an initiator that insists on CHAP learns so after the same work as any other. */
  #beginChap({ initiatorName, auth, authenticationRequired }: Identity): void {
    const { node, challenges } = this.#options.context;
    const used = auth.account !== null || authenticationRequired ? auth : node.authOf(initiatorName);
    const [known, mutual] = [used?.account ?? null, used?.mutual ?? null];
    this.#chap = new ChapTarget({
      challenges,
      find: (user) => {
        if (known === null || user !== known.user) return undefined;
        return mutual === null ? { secret: known.secret } : { secret: known.secret, mutual };
      },
    });
  }

  #withoutProof({ authenticationRequired }: Identity): void {
    if (authenticationRequired) throw new Refusal(LoginStatus.AuthenticationFailure, 'no proof of identity offered');
    this.#secured = true;
  }

  #answerChap(chap: ChapTarget, pairs: readonly TextPair[], out: TextPair[]): void {
    const verdict = chap.receive(pairs);
    if (verdict.kind === 'refuse') throw new Refusal(LoginStatus.InitiatorError | verdict.detail, verdict.reason);
    out.push(...verdict.pairs);
    if (verdict.kind !== 'accept') return;
    chap.close();
    this.#chap = null;
    this.#secured = true;
    this.#authenticated = true;
  }

  // ---- Operational stage, §6.3.3 and §13 --------------------------------------------------------------------------

  #operational(identity: Identity, request: LoginRequest, pairs: readonly TextPair[], out: TextPair[]): void {
    if (!this.#secured) this.#withoutProof(identity);
    const negotiator = this.#operationalKeys(identity);
    out.push(...negotiator.receive(pairs));
    if (!request.transit) {
      this.#respond(request, out, false);
      return;
    }
    // Every default is one that this target can live with; what its administrator has set is offered all the same.
    const offers = identity.group === null ? [] : negotiator.offer(identity.group.insistedKeys);
    if (offers.length > 0) {
      this.#respond(request, [...out, ...offers], false);
      return;
    }
    this.#finish(identity, request, negotiator, out);
  }

  #operationalKeys(identity: Identity): Negotiator {
    this.#negotiator ??= new Negotiator({
      role: 'target',
      discovery: identity.targetName === null,
      wishes: identity.group?.wishes ?? wishesOf(),
    });
    return this.#negotiator;
  }

  // ---- Answers ----------------------------------------------------------------------------------------------------

  #finish(identity: Identity, request: LoginRequest, negotiator: Negotiator, out: TextPair[]): void {
    const first = this.#first;
    if (first === null) return;
    // The request is a view of receive memory, and the answer may come later: keep what it needs.
    const kept = { ...request, isid: first.isid };
    this.close();
    const { initiatorName, targetName, luns, commandWindow } = identity;
    const result: LoginResult = {
      params: negotiator.result(),
      mostXmit: identity.group?.wishes.maxXmitDataSegmentLength ?? Number.POSITIVE_INFINITY,
      initiatorName,
      isid: first.isid,
      cid: first.cid,
      cmdSn: first.cmdSn,
      targetName,
      tag: identity.group?.config.tag ?? 0,
      luns,
      commandWindow,
      authenticated: this.#authenticated,
      statSn: this.#statSn,
    };
    this.#options.complete(result, (tsih) => {
      if (tsih === null) this.#refuse(kept, LoginStatus.OutOfResources, 'too many sessions');
      else this.#respond(kept, out, true, { tsih, window: commandWindow });
    });
  }

  /** `session` in the last answer only. */
  #respond(
    request: LoginRequest,
    pairs: readonly TextPair[],
    transit: boolean,
    session: { readonly tsih: number; readonly window: number } | null = null,
  ): void {
    const pdu = {
      transit,
      continues: false,
      csg: request.csg,
      nsg: transit ? request.nsg : 0,
      versionMax: 0,
      versionActive: 0,
      isid: request.isid,
      tsih: session?.tsih ?? request.tsih,
      itt: request.itt,
      statSn: this.#statSn.take(),
      expCmdSn: request.cmdSn,
      maxCmdSn: session === null ? request.cmdSn : (request.cmdSn + session.window - 1) >>> 0,
      statusClass: 0,
      statusDetail: 0,
    };
    const data = pairs.length === 0 ? null : emitText(pairs);
    this.#options.writer.send((s, to) => emitLoginResponse(pdu, s, to), data);
  }

  #refuse(request: LoginRequest, status: number, reason: string, pairs: readonly TextPair[] = []): void {
    this.close();
    const pdu = {
      transit: false,
      continues: false,
      csg: request.csg,
      nsg: 0,
      versionMax: 0,
      versionActive: 0,
      // The request is a view of receive memory, and the answer may leave later.
      isid: Buffer.from(request.isid),
      tsih: request.tsih,
      itt: request.itt,
      statSn: this.#statSn.take(),
      expCmdSn: request.cmdSn,
      maxCmdSn: request.cmdSn,
      statusClass: status >> 8,
      statusDetail: status & 0xff,
    };
    const data = pairs.length === 0 ? null : emitText(pairs);
    this.#options.refused({
      status,
      reason,
      initiatorName: this.#claimedName,
      targetName: this.#claimedTarget,
      answer: () => this.#options.writer.send((s, to) => emitLoginResponse(pdu, s, to), data),
    });
  }
}

/** §6.3: no key twice in one text. */
function checkTwice(pairs: readonly TextPair[]): void {
  const seen = new Set<string>();
  for (const [key] of pairs) {
    if (seen.has(key)) throw new Refusal(LoginStatus.InitiatorError, `${key} is said twice`);
    seen.add(key);
  }
}

/** Answers to keys that the security stage has no use for: unknown ones (§6.2), and those of the stage after it. */
function answersOutOfPlace(pairs: readonly TextPair[]): TextPair[] {
  const answers: TextPair[] = [];
  for (const [name, value] of pairs) {
    const key = keyNamed(name);
    if (ANSWERS.has(value) || key?.kind === 'other' || key?.kind === 'declare') continue;
    answers.push([name, key === undefined ? 'NotUnderstood' : 'Reject']);
  }
  return answers;
}

/** §11.13.5: where the initiator is to log in instead. */
function redirection(to: RedirectConfig): Refusal {
  const { TargetMovedPermanently, TargetMovedTemporarily } = LoginStatus;
  const address = formatAddress(to);
  const status = to.permanent ? TargetMovedPermanently : TargetMovedTemporarily;
  return new Refusal(status, `sent on to ${address}`, [['TargetAddress', address]]);
}
