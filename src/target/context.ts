// What the connections of one server share.
import type { BufferPool } from '../util/ref-buffer.js';
import { LIMITS } from './limits.js';
import { SessionRegistry } from './session-registry.js';
import type { TargetNode } from './target-node.js';
import { WriteMemory } from './write-memory.js';

export class TargetContext {
  /** Replaced as a whole when the configuration changes; sessions keep what they were granted. */
  node: TargetNode;
  readonly pool: BufferPool;
  readonly sessions = new SessionRegistry();
  readonly memory = new WriteMemory(LIMITS.bufferedBytes);
  /** CHAP challenges of every login under way: none of them may come back as a peer's own (RFC 7143 §12.1.3). */
  readonly challenges = new Set<string>();

  constructor(node: TargetNode, pool: BufferPool) {
    this.node = node;
    this.pool = pool;
  }
}
