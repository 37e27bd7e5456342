// Command and status numbering, RFC 7143 §4.2.2: CmdSN with its window, StatSN with its acknowledgement.
import { serialAdd, serialDiff, serialLess } from '../util/serial32.js';

/** The initiator's side of a session's command window. */
export class CommandWindow {
  #cmdSn: number;
  #expCmdSn: number;
  #maxCmdSn: number;

  /** `initialCmdSn` is that of the login. The window is closed until the first update: all of login is immediate. */
  constructor(initialCmdSn: number) {
    this.#cmdSn = initialCmdSn >>> 0;
    this.#expCmdSn = this.#cmdSn;
    this.#maxCmdSn = serialAdd(this.#cmdSn, -1);
  }
  /** The number of the next command that is not immediate; an immediate one carries it without using it up. */
  get cmdSn(): number {
    return this.#cmdSn;
  }
  get expCmdSn(): number {
    return this.#expCmdSn;
  }
  get maxCmdSn(): number {
    return this.#maxCmdSn;
  }
  /** How many commands may be sent now. */
  get room(): number {
    return Math.max(0, serialDiff(this.#maxCmdSn, this.#cmdSn) + 1);
  }
  /** Uses up a CmdSN. A call without room is a bug. */
  take(): number {
    if (serialLess(this.#maxCmdSn, this.#cmdSn)) throw new Error('the command window is closed');
    const taken = this.#cmdSn;
    this.#cmdSn = serialAdd(taken, 1);
    return taken;
  }
  /** ExpCmdSN and MaxCmdSN of any PDU from the target; whether the window has grown. Late and absurd values are ignored (§4.2.2.1). */
  update(expCmdSn: number, maxCmdSn: number): boolean {
    if (serialLess(maxCmdSn, serialAdd(expCmdSn, -1))) return false;
    if (serialLess(this.#expCmdSn, expCmdSn)) this.#expCmdSn = expCmdSn;
    if (!serialLess(this.#maxCmdSn, maxCmdSn)) return false;
    this.#maxCmdSn = maxCmdSn;
    return true;
  }
}

/** What a target does with a command that has just come. */
export type CommandOrder =
  /** It is the next one: deliver it. */
  | 'now'
  /** Earlier ones are missing: keep it until `expCmdSn` is its number, then ask again. */
  | 'later'
  /** Outside the window or delivered before: ignore it (§4.2.2.1). */
  | 'ignore';

/** The target's side of a session's command window. */
export class ReceiveWindow {
  #expCmdSn: number;
  #maxCmdSn: number;
  #size: number;

  /** `initialCmdSn` is that of the leading login; `size` how many commands may be under way, at least 1. */
  constructor(initialCmdSn: number, size: number) {
    this.#expCmdSn = initialCmdSn >>> 0;
    this.#maxCmdSn = serialAdd(this.#expCmdSn, -1);
    this.#size = size;
  }
  get expCmdSn(): number {
    return this.#expCmdSn;
  }
  /** For the next PDU. Never goes back, because an initiator ignores a smaller one: a window closes by standing still. */
  get maxCmdSn(): number {
    const open = serialAdd(this.#expCmdSn, this.#size - 1);
    if (serialLess(this.#maxCmdSn, open)) this.#maxCmdSn = open;
    return this.#maxCmdSn;
  }
  /** How many commands beyond the last one received may come: 0 closes the window as far as has not been promised. */
  setSize(size: number): void {
    this.#size = size;
  }
  /** A command that is not immediate (an immediate one is delivered at once and numbers nothing). */
  receive(cmdSn: number): CommandOrder {
    if (cmdSn === this.#expCmdSn) {
      if (serialLess(this.#maxCmdSn, cmdSn)) return 'ignore';
      this.#expCmdSn = serialAdd(cmdSn, 1);
      return 'now';
    }
    return serialLess(cmdSn, this.#expCmdSn) || serialLess(this.#maxCmdSn, cmdSn) ? 'ignore' : 'later';
  }
}

/** A target's StatSN of one connection. */
export class StatusSequence {
  #next: number;
  constructor(first: number) {
    this.#next = first >>> 0;
  }
  /** For a PDU that carries StatSN without using it up: R2T, NOP-In with no task tag. */
  get next(): number {
    return this.#next;
  }
  /** Uses up a number. */
  take(): number {
    const taken = this.#next;
    this.#next = serialAdd(taken, 1);
    return taken;
  }
}

/** An initiator's ExpStatSN of one connection. */
export class StatusTracker {
  #expStatSn: number;
  /** `first` is the StatSN of the first Login Response. */
  constructor(first: number) {
    this.#expStatSn = serialAdd(first, 1);
  }
  get expStatSn(): number {
    return this.#expStatSn;
  }
  /** A PDU that uses up a StatSN: the next one, one seen before, or one after a loss. Only 'next' advances. */
  receive(statSn: number): 'next' | 'repeated' | 'gap' {
    if (statSn === this.#expStatSn) {
      this.#expStatSn = serialAdd(statSn, 1);
      return 'next';
    }
    return serialLess(statSn, this.#expStatSn) ? 'repeated' : 'gap';
  }
}
