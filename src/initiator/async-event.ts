// What an Asynchronous Message asks of us, RFC 7143 §11.9.1.
import { AsyncEvent, type AsyncMessage, parseAsyncData } from '../iscsi/wire/async-message.js';
import { lunToText } from '../scsi/lun.js';
import { parseSense, type Sense } from '../scsi/sense.js';

export type AsyncAction =
  | { readonly kind: 'note'; readonly message: string }
  /** What the unit at `lun` reports: a unit attention, mostly. */
  | { readonly kind: 'sense'; readonly message: string; readonly lun: Buffer; readonly sense: Sense }
  | { readonly kind: 'logout'; readonly message: string; readonly withinMs: number }
  | { readonly kind: 'dropped'; readonly message: string; readonly time2WaitMs: number }
  | { readonly kind: 'negotiate'; readonly message: string }
  /** The target has thrown away all tasks of the unit at `lun`. */
  | { readonly kind: 'terminated'; readonly message: string; readonly lun: Buffer };

/** Our only connection's. */
const CID = 0;

/** `lun` is a copy. Throws ProtocolError when the sense data of event 0 runs past the segment. */
export function asyncAction(pdu: AsyncMessage, data: Buffer): AsyncAction {
  switch (pdu.event) {
    case AsyncEvent.ScsiAsync:
      return scsiEvent(pdu, data);
    case AsyncEvent.RequestLogout:
      return {
        kind: 'logout',
        message: `the target asks for a logout within ${pdu.parameter3} s`,
        withinMs: pdu.parameter3 * 1000,
      };
    case AsyncEvent.DropConnection:
      // With a connection of its own dropped a session of one connection is gone; another one's we never had.
      if (pdu.parameter1 !== CID) return { kind: 'note', message: `the target drops connection ${pdu.parameter1}` };
      return dropped(pdu);
    case AsyncEvent.DropAllConnections:
      return dropped(pdu);
    case AsyncEvent.RequestNegotiation:
      return { kind: 'negotiate', message: 'the target asks for a parameter negotiation' };
    case AsyncEvent.TasksTerminated:
      return {
        kind: 'terminated',
        message: `the target has terminated the commands of LUN ${lunToText(pdu.lun)}`,
        lun: Buffer.from(pdu.lun),
      };
    default:
      return { kind: 'note', message: `the target sent asynchronous event ${pdu.event}` };
  }
}

function dropped({ parameter2 }: AsyncMessage): AsyncAction {
  return { kind: 'dropped', message: 'the target drops the session', time2WaitMs: parameter2 * 1000 };
}

function scsiEvent(pdu: AsyncMessage, data: Buffer): AsyncAction {
  const bytes = parseAsyncData(data).sense;
  const message = `the target reports an asynchronous SCSI event, sense ${bytes.toString('hex')}`;
  const sense = parseSense(bytes);
  if (sense === null) return { kind: 'note', message };
  return { kind: 'sense', message, lun: Buffer.from(pdu.lun), sense };
}
