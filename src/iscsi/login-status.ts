// Status class and detail of Login Responses, RFC 7143 §11.13.5.

/** The class: what the initiator is to do about it. */
export const LoginStatusClass = { Success: 0, Redirection: 1, InitiatorError: 2, TargetError: 3 } as const;

/** Class and detail as one number, class in the high byte, as messages show it. */
export const LoginStatus = {
  Success: 0x0000,
  TargetMovedTemporarily: 0x0101,
  TargetMovedPermanently: 0x0102,
  InitiatorError: 0x0200,
  AuthenticationFailure: 0x0201,
  AuthorizationFailure: 0x0202,
  NotFound: 0x0203,
  TargetRemoved: 0x0204,
  UnsupportedVersion: 0x0205,
  TooManyConnections: 0x0206,
  MissingParameter: 0x0207,
  CannotIncludeInSession: 0x0208,
  SessionTypeNotSupported: 0x0209,
  SessionDoesNotExist: 0x020a,
  InvalidDuringLogin: 0x020b,
  TargetError: 0x0300,
  ServiceUnavailable: 0x0301,
  OutOfResources: 0x0302,
} as const;
export type LoginStatus = (typeof LoginStatus)[keyof typeof LoginStatus];

const TEXTS: Record<LoginStatus, string> = {
  [LoginStatus.Success]: 'success',
  [LoginStatus.TargetMovedTemporarily]: 'the target has moved for now',
  [LoginStatus.TargetMovedPermanently]: 'the target has moved for good',
  [LoginStatus.InitiatorError]: 'the target found an error in the login',
  [LoginStatus.AuthenticationFailure]: 'authentication failed',
  [LoginStatus.AuthorizationFailure]: 'this initiator may not use the target',
  [LoginStatus.NotFound]: 'no such target',
  [LoginStatus.TargetRemoved]: 'the target has been removed',
  [LoginStatus.UnsupportedVersion]: 'no common protocol version',
  [LoginStatus.TooManyConnections]: 'too many connections',
  [LoginStatus.MissingParameter]: 'a parameter is missing',
  [LoginStatus.CannotIncludeInSession]: 'the connection cannot join the session',
  [LoginStatus.SessionTypeNotSupported]: 'the session type is not supported',
  [LoginStatus.SessionDoesNotExist]: 'no such session',
  [LoginStatus.InvalidDuringLogin]: 'a request that does not belong in a login',
  [LoginStatus.TargetError]: 'the target has an internal error',
  [LoginStatus.ServiceUnavailable]: 'the target does not serve now',
  [LoginStatus.OutOfResources]: 'the target is out of resources',
};

/** Class and detail of a Login Response as one number. */
export function loginStatusOf(response: { readonly statusClass: number; readonly statusDetail: number }): number {
  return (response.statusClass << 8) | response.statusDetail;
}

/** `0x0201`. */
export function loginStatusHex(status: number): string {
  return `0x${status.toString(16).padStart(4, '0')}`;
}

/** What a status means, in words that end a sentence. An unknown detail is told by its class, as §11.13.5 asks. */
export function loginStatusText(status: number): string {
  const known = (TEXTS as Record<number, string>)[status];
  if (known !== undefined) return known;
  const byClass = (TEXTS as Record<number, string>)[status & 0xff00];
  if (status >>> 8 === LoginStatusClass.Redirection) return TEXTS[LoginStatus.TargetMovedTemporarily];
  return byClass ?? 'a status that this program does not know';
}
