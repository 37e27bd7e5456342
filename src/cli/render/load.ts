// How busy sessions are, for people: a line for each, and the small pictures of `session top`.
import type { LoadRates, SessionSample } from '../../services/session/load.js';
import type { Listing } from './listing.js';
import { formatSize } from './text.js';

export interface LoadRow {
  readonly sample: SessionSample;
  /** null at the first look. */
  readonly rates: LoadRates | null;
}

/** `session stats --watch`: a line for each session. */
export const LOADS: Listing<LoadRow> = [
  { head: 'SID', about: 'number of the session', align: 'right', text: ({ sample }) => String(sample.session.sid) },
  { head: 'TARGET', about: 'name of the target', text: ({ sample }) => sample.session.targetName },
  { head: 'STATE', about: 'state by RFC 7143, and what is being done about it', text: stateText },
  {
    head: 'IOPS',
    about: 'commands answered in a second',
    align: 'right',
    text: ({ rates }) => rateText(rates?.commandsPerSecond),
  },
  {
    head: 'READ',
    about: 'read in a second',
    align: 'right',
    text: ({ rates }) => bytesText(rates?.readBytesPerSecond),
  },
  {
    head: 'WRITE',
    about: 'written in a second',
    align: 'right',
    text: ({ rates }) => bytesText(rates?.writtenBytesPerSecond),
  },
  {
    head: 'P50',
    about: 'time that half of the commands did not exceed',
    align: 'right',
    text: ({ rates }) => timeText(rates?.p50),
  },
  {
    head: 'P99',
    about: 'time that 99 of 100 did not exceed',
    align: 'right',
    text: ({ rates }) => timeText(rates?.p99),
  },
  { head: 'QUEUE', about: 'commands in flight, how many may be, and those that wait', text: queueText },
];

function stateText({ sample: { load } }: LoadRow): string {
  return load.recovery === 'none' ? load.state : `${load.state},${load.recovery}`;
}

/** `24/128`, `128/128 +7` with commands that wait, `7 held` without a connection. */
function queueText({ sample: { load } }: LoadRow): string {
  const { inFlight, mostInFlight, waiting } = load;
  if (mostInFlight === 0) return waiting === 0 ? '-' : `${waiting} held`;
  return `${inFlight}/${mostInFlight}${waiting === 0 ? '' : ` +${waiting}`}`;
}

/** `812`, `18.2k`. */
export function rateText(perSecond: number | undefined): string {
  if (perSecond === undefined) return '-';
  if (perSecond < 1000) return String(Math.round(perSecond));
  return perSecond < 99_950 ? `${(perSecond / 1000).toFixed(1)}k` : `${Math.round(perSecond / 1000)}k`;
}

function bytesText(perSecond: number | undefined): string {
  return perSecond === undefined ? '-' : `${formatSize(Math.round(perSecond))}/s`;
}

/** Microseconds as `85us`, `0.4ms`, `12ms`, `1.5s`. */
export function timeText(microseconds: number | null | undefined): string {
  if (microseconds === null || microseconds === undefined) return '-';
  if (microseconds < 100) return `${Math.round(microseconds)}us`;
  const ms = microseconds / 1000;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)}ms`;
  return `${(ms / 1000).toFixed(1)}s`;
}

const BARS = '▁▂▃▄▅▆▇█';

/** One character for each value, the highest for the largest of them; nothing at all is the lowest. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  return values
    .map((value) => BARS[most === 0 ? 0 : Math.min(7, Math.floor((Math.max(0, value) / most) * 7.999))])
    .join('');
}
