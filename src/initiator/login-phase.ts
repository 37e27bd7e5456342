// The login phase of one connection: Login Request and Response PDUs around a LoginExchange (RFC 7143 §6.3, §11.12–11.13).

import { DEFAULT_MAX_DATA_SEGMENT } from '../iscsi/params.js';
import { CommandWindow } from '../iscsi/windows.js';
import { BHS_LENGTH, itt as tagOf } from '../iscsi/wire/bhs.js';
import { emitLoginRequest, type LoginRequest } from '../iscsi/wire/login-request.js';
import { parseLoginResponse } from '../iscsi/wire/login-response.js';
import type { PduWriter } from '../iscsi/wire/pdu-writer.js';
import { emitText, splitText } from '../iscsi/wire/text.js';
import { ProtocolError } from '../util/errors.js';
import { serialAdd } from '../util/serial32.js';
import type { Counters } from './counters.js';
import { LoginExchange, type LoginStep } from './login.js';
import type { LoginOptions } from './options.js';

/** The first CmdSN of a session; Login Requests are immediate and do not use it up. */
const INITIAL_CMDSN = 1;
const LOGIN_ITT = 0;

type Send = Extract<LoginStep, { kind: 'send' }>;

export class LoginPhase {
  readonly exchange: LoginExchange;
  readonly window = new CommandWindow(INITIAL_CMDSN);
  readonly #isid: Buffer;
  readonly #writer: PduWriter;
  readonly #counters: Counters;
  /** Parts of a text that are still to be sent, one for each empty answer. */
  #segments: Buffer[] = [];
  #step: Send | null = null;
  #statSn: number | null = null;
  tsih = 0;

  constructor(options: LoginOptions, writer: PduWriter, counters: Counters) {
    this.exchange = new LoginExchange(options);
    this.#isid = options.isid;
    this.#writer = writer;
    this.#counters = counters;
  }
  /** StatSN of the last Login Response. */
  get statSn(): number {
    return this.#statSn ?? 0;
  }
  start(): void {
    this.#follow(this.exchange.start());
  }
  /** A PDU of the login; answers it, or returns how the login ended. */
  onResponse(b: Buffer, at: number, data: Buffer): Exclude<LoginStep, Send> | null {
    const pdu = parseLoginResponse(b, at);
    if (tagOf(b, at) !== LOGIN_ITT) throw new ProtocolError('RFC 7143 §11.13', 'Login Response to another task tag');
    if (pdu.statusClass === 0) {
      this.#statSn = pdu.statSn;
      this.tsih = pdu.tsih;
      this.window.update(pdu.expCmdSn, pdu.maxCmdSn);
    }
    if (pdu.statusClass === 0 && this.#segments.length > 0) {
      if (pdu.transit || data.length > 0) throw new ProtocolError('RFC 7143 §6.2', 'an answer to half a text');
      this.#sendSegment();
      return null;
    }
    return this.#follow(this.exchange.receive(pdu, data));
  }
  #follow(step: LoginStep): Exclude<LoginStep, Send> | null {
    if (step.kind !== 'send') return step;
    this.#step = step;
    this.#segments = splitText(emitText(step.pairs), DEFAULT_MAX_DATA_SEGMENT);
    this.#sendSegment();
    return null;
  }
  #sendSegment(): void {
    const step = this.#step as Send;
    const data = this.#segments.shift() ?? null;
    const continues = this.#segments.length > 0;
    const pdu: LoginRequest = {
      transit: step.transit && !continues,
      continues,
      csg: step.csg,
      nsg: continues ? step.csg : step.nsg,
      versionMax: 0,
      versionMin: 0,
      isid: this.#isid,
      tsih: 0,
      itt: LOGIN_ITT,
      cid: 0,
      cmdSn: this.window.cmdSn,
      expStatSn: this.#statSn === null ? 0 : serialAdd(this.#statSn, 1),
    };
    this.#writer.send((b, at) => emitLoginRequest(pdu, b, at), data);
    this.#counters.login_pdus++;
    this.#counters.txdata_octets += BHS_LENGTH + (data?.length ?? 0);
  }
}
