// The claim of a session of this very process, which lives as long as the test does.
import { processStartTime, type SessionState } from '../../src/services/session/folder.js';

/** What `claimFolder` is given for a login that is only starting. */
export function claim(changes: Partial<SessionState> = {}): Omit<SessionState, 'sid'> {
  return {
    version: 1,
    pid: process.pid,
    startTime: processStartTime(process.pid) ?? '',
    phase: 'starting',
    targetName: 'iqn.2022-08.com.test:a',
    portal: { address: '127.0.0.1', port: 3260, tpgt: 1 },
    iface: 'default',
    index: 0,
    initiatorName: 'iqn.2022-08.com.test:i',
    isid: '80aabbcc0001',
    ...changes,
  };
}
