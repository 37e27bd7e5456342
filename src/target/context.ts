// What the connections of one server share.
import { ChapChallenges } from '../iscsi/chap.js';
import type { BufferPool } from '../util/ref-buffer.js';
import { LIMITS } from './limits.js';
import { OutputMemory } from './output-memory.js';
import { SessionRegistry } from './session-registry.js';
import type { TargetNode } from './target-node.js';
import { WriteMemory } from './write-memory.js';

export class TargetContext {
  /** Replaced as a whole when the configuration changes; sessions keep what they were granted. */
  node: TargetNode;
  readonly pool: BufferPool;
  readonly sessions = new SessionRegistry();
  readonly memory = new WriteMemory(LIMITS.bufferedBytes);
  readonly output = new OutputMemory(LIMITS.queuedBytes);
  /** CHAP challenges of every login under way: none of them may come back as a peer's own (RFC 7143 §12.1.3). */
  readonly challenges = new ChapChallenges();

  constructor(node: TargetNode, pool: BufferPool) {
    this.node = node;
    this.pool = pool;
  }

  /**
   * A new configuration under sessions that go on: each gets the logical units that are now its own; one that would not be let
   * in any more is asked to log out, and dropped where it does not. What was negotiated stays as it is.
   */
  reconfigure(node: TargetNode): void {
    this.node = node;
    for (const session of this.sessions.sessions()) {
      if (session.targetName === null) continue;
      const group = node.groupByTag(session.targetName, session.tag);
      const grant = group?.config.enabled ? group.grantFor(session.initiatorName) : null;
      if (grant) session.regrant(grant.luns);
      else session.requestLogout('the target is not for this initiator any more');
    }
  }

  /** Ends every session of one target: its cold reset (RFC 7143 §11.5.1). */
  endSessionsOf(targetName: string | null): void {
    for (const session of this.sessions.sessions()) {
      if (session.targetName === targetName) session.terminate('target cold reset', 'target', () => {});
    }
  }
}
