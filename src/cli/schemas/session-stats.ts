// What `session stats` prints under --json: once, or with --watch as one line for each look.
import * as v from 'valibot';
import type { LoadRates } from '../../services/session/load.js';
import { count, type Describes, document, list, moment, portal, seconds, sid, targetName } from './parts.js';
import { recoveryWord, sessionState } from './session.js';

const rate = (about: string) => v.pipe(v.number(), v.minValue(0), v.description(about));
const time = (about: string) =>
  v.pipe(
    v.nullable(v.number()),
    v.description(`${about} Microseconds from the start of a command to its status; null when none was answered.`),
  );

const rates = v.strictObject({
  seconds: seconds('How long they are measured over.'),
  commandsPerSecond: rate('Commands that were answered.'),
  readBytesPerSecond: rate('Bytes that were read.'),
  writtenBytesPerSecond: rate('Bytes that were written.'),
  p50: time('What half of the commands did not exceed.'),
  p99: time('What 99 of 100 commands did not exceed.'),
}) satisfies Describes<LoadRates>;

export const sessionStats = document('session-stats', 'What sessions have done, and do.', {
  at: moment('When they were asked.'),
  sessions: list(
    v.strictObject({
      sid,
      targetName,
      portal,
      state: sessionState,
      recovery: recoveryWord,
      counters: v.pipe(
        v.record(v.string(), v.pipe(v.number(), v.integer(), v.minValue(0))),
        v.description(
          'PDUs by kind, octets without padding and digests, and errors, since the first login, under the names of iscsiadm -s.',
        ),
      ),
      commands: v.pipe(
        v.record(v.string(), v.pipe(v.number(), v.integer(), v.minValue(0))),
        v.description('Answered SCSI commands by their name, since the first login.'),
      ),
      failed: count('Those of them whose status was not GOOD.'),
      readBytes: count('Read since the login. Bytes.'),
      writtenBytes: count('Written since the login. Bytes.'),
      inFlight: count('Commands that are sent and not answered.'),
      mostInFlight: count('How many the target takes at once, as far as it says; 0 without a connection.'),
      waiting: count('Commands that are not sent yet.'),
      rates: v.pipe(
        v.nullable(rates),
        v.description(
          'Since the look before, with --watch; without it since the login. null for the first look at it.',
        ),
      ),
    }),
    'One for each session, by number.',
  ),
});
