// iscsiadm's words for an attempt at a discovery that has failed, and whether it is made again.
import { type DiscoveryFailure, discoveryFailure } from '../../services/discovery-failure.js';
import { Reported } from './reported.js';
import type { Talk } from './talk.js';

/** What comes of it: another attempt, or the end with this number. */
export type DiscoveryEnd = { readonly kind: 'again' } | { readonly kind: 'over'; readonly number: number };

export interface AskedPortal {
  /** As typed. */
  readonly address: string;
  /** The address in digits. */
  readonly host: string;
  /** How long the portal could have taken over an answer. */
  readonly answerMs: number;
}

const AGAIN = { kind: 'again' } as const;
const over = (number: number): DiscoveryEnd => ({ kind: 'over', number });

export function tellFailure(talk: Talk, error: unknown, { address, host, answerMs }: AskedPortal): DiscoveryEnd {
  const failure = discoveryFailure(error);
  switch (failure.kind) {
    case 'unresolved':
      talk.complain(
        `Cannot resolve host ${address}. getaddrinfo error: [${NAME_ERRORS[failure.code] ?? failure.code}]`,
      );
      // Each of its layers says so.
      for (let i = 0; i < 2; i++) talk.complain(`cannot resolve host name ${address}`);
      return over(Reported.TransportFailure);
    case 'unreachable':
      talk.complain(`cannot make connection to ${host}: ${CONNECT_ERRORS[failure.code] ?? failure.code}`);
      return AGAIN;
    case 'silent-host':
      talk.complain(`connect to ${host} timed out`);
      return AGAIN;
    case 'refused':
      return refused(talk, failure.status, host);
    default:
      return duringLogin(talk, failure, { host, answerMs });
  }
}

const NAME_ERRORS: Readonly<Record<string, string>> = {
  EAI_AGAIN: 'Temporary failure in name resolution',
  ENOTFOUND: 'Name or service not known',
};

const CONNECT_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ENETUNREACH: 'Network is unreachable',
  EHOSTUNREACH: 'No route to host',
  ETIMEDOUT: 'Connection timed out',
  ECONNRESET: 'Connection reset by peer',
  EACCES: 'Permission denied',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EINVAL: 'Invalid argument',
};

/** Class and detail of RFC 7143 §11.13.5. */
function refused(talk: Talk, status: number, host: string): DiscoveryEnd {
  const hex = (byte: number) => byte.toString(16).padStart(2, '0');
  const detail = `(${hex(status >>> 8)}/${hex(status & 0xff)})`;
  if (status >>> 8 === 3) {
    talk.complain(`discovery login to ${host} rejected: target error ${detail}`);
    return AGAIN;
  }
  if (status === 0x0201 || status === 0x0202) {
    if (status === 0x0201) talk.complain('Login failed to authenticate with target ');
    talk.complain(`discovery login to ${host} rejected: initiator failed authorization`);
    return over(Reported.LoginAuthFailed);
  }
  talk.complain(`discovery login to ${host} rejected: initiator error ${detail}, non-retryable, giving up`);
  return over(Reported.FatalLogin);
}

type DuringLogin = Exclude<DiscoveryFailure, { kind: 'unresolved' | 'unreachable' | 'silent-host' | 'refused' }>;

function duringLogin(talk: Talk, failure: DuringLogin, { host, answerMs }: Omit<AskedPortal, 'address'>): DiscoveryEnd {
  switch (failure.kind) {
    case 'closed':
      talk.complain(`Connection to Discovery Address ${host} closed`);
      talk.complain('Login I/O error, failed to receive a PDU');
      talk.complain(`retrying discovery login to ${host}`);
      return AGAIN;
    case 'silent':
      talk.complain(`Login response timeout. Waited ${answerMs / 1000} seconds and did not get response PDU.`);
      talk.complain(`discovery login to ${host} failed, giving up 2`);
      return over(Reported.FatalLogin);
    case 'unproven':
      talk.complain(failure.message);
      talk.complain(`discovery login to ${host} failed, giving up 5`);
      return over(Reported.FatalLogin);
    case 'not-iscsi':
      talk.complain(failure.message);
      return over(Reported.PduTimeout);
    case 'other':
      talk.complain(failure.message);
      talk.complain(`discovery login to ${host} failed, giving up 4`);
      return over(Reported.FatalLogin);
  }
}
