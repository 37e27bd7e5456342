// What an Asynchronous Message asks of us, RFC 7143 §11.9.1.
import { AsyncEvent, type AsyncMessage, parseAsyncData } from '../iscsi/wire/async-message.js';

export type AsyncAction =
  | { readonly kind: 'note'; readonly message: string }
  | { readonly kind: 'logout'; readonly message: string; readonly withinMs: number }
  | { readonly kind: 'dropped'; readonly message: string; readonly time2WaitMs: number }
  | { readonly kind: 'negotiate'; readonly message: string };

/** Throws ProtocolError when the sense data of event 0 runs past the segment. */
export function asyncAction(pdu: AsyncMessage, data: Buffer): AsyncAction {
  switch (pdu.event) {
    case AsyncEvent.ScsiAsync: {
      const { sense } = parseAsyncData(data);
      return { kind: 'note', message: `the target reports an asynchronous SCSI event, sense ${sense.toString('hex')}` };
    }
    case AsyncEvent.RequestLogout:
      return {
        kind: 'logout',
        message: `the target asks for a logout within ${pdu.parameter3} s`,
        withinMs: pdu.parameter3 * 1000,
      };
    case AsyncEvent.DropConnection:
    case AsyncEvent.DropAllConnections:
      return { kind: 'dropped', message: 'the target drops the session', time2WaitMs: pdu.parameter2 * 1000 };
    case AsyncEvent.RequestNegotiation:
      return { kind: 'negotiate', message: 'the target asks for a parameter negotiation' };
    default:
      return { kind: 'note', message: `the target sent asynchronous event ${pdu.event}` };
  }
}
