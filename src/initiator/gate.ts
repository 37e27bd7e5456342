// What stands between a logical unit's commands and the wire: after a lost connection nothing is sent again before the unit's
// owner has made sure that it is still the same unit.
import type { Sense } from '../scsi/sense.js';

/** Numbers, because the data path compares them. */
export const GateState = {
  /** Commands pass. */
  Open: 0,
  /** Commands wait, until `deadline`. */
  Closed: 1,
  /** They have waited too long: commands end at once until the next login. */
  Expired: 2,
  /** The unit is another one, or none: commands end at once until the gate is resumed. */
  Condemned: 3,
} as const;
export type GateState = (typeof GateState)[keyof typeof GateState];

/** One for each logical unit; every task of the unit names it. Its fields are the session's to change. */
export class Gate {
  state: GateState = GateState.Open;
  /** When what waits here is given up, milliseconds. Means something while the gate is closed. */
  deadline = Number.POSITIVE_INFINITY;
  /** A connection was refused since the gate was last opened: whoever serves the target was not there, so it was restarted. */
  refused = false;
}

/** What points to a restart of the target since the loss, apart from what the unit says itself. */
export interface RestartEvidence {
  /** The target's address refused a connection, so nobody listened there for a while. */
  readonly refused: boolean;
}

/** Whoever answers for one logical unit of a session. */
export interface SessionMember {
  readonly gate: Gate;
  /** The eight bytes that address the unit. */
  readonly address: Buffer;
  /**
   * The session has logged in again and the gate is closed. The member asks its unit who it is (`execute` passes) and then
   * resumes or condemns its gate. Called again at the next login: what an earlier check says after that is void.
   */
  onReconnected(evidence: RestartEvidence): void;
  /** The unit has reported a unit attention in place of some command's answer, whoever sent that, or any sense out of turn. */
  onUnitAttention(sense: Sense): void;
  /**
   * Some unit of the session has reported that the target's logical units have changed, and the gate is closed: the member
   * asks its unit who it is before anything more is sent, as after `onReconnected`.
   */
  onUnitsChanged(): void;
}
