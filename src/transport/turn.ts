// One flush per socket and turn: everything that cores write during one callback leaves in one system call per socket.

/** A sink with bytes that wait for the end of the turn. `flush` must not throw. */
export interface Flushable {
  flush(): void;
}

const dirty = new Set<Flushable>();
let depth = 0;
let scheduled = false;

/**
 * Runs `work` as one turn: sinks that it dirties are flushed once, when the outermost turn ends, also when it throws.
 * Every receive callback and every timer runs in one.
 */
export function runTurn(work: () => void): void {
  depth++;
  try {
    work();
  } finally {
    if (--depth === 0) flushDirty();
  }
}

/**
 * Notes that `sink` has something to send. Outside a turn (a completed file read, a settled promise) the flush waits
 * for the end of this round of the event loop, so that completions which arrive together leave together.
 */
export function markDirty(sink: Flushable): void {
  dirty.add(sink);
  if (depth > 0 || scheduled) return;
  scheduled = true;
  setImmediate(flushScheduled);
}

/** Takes a sink off the list, because it has been flushed or is gone. */
export function unmarkDirty(sink: Flushable): void {
  dirty.delete(sink);
}

function flushScheduled(): void {
  scheduled = false;
  flushDirty();
}

/** A flush may dirty other sinks; a Set visits what is added while it is walked. */
function flushDirty(): void {
  for (const sink of dirty) {
    dirty.delete(sink);
    sink.flush();
  }
}
