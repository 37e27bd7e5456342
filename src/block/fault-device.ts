// A device that misbehaves on demand: errors, errors after data, completions held back and let go in any order.
import type { BlockDevice, BlockRequest, BlockStatus } from './block-device.js';
import { ForwardRequest } from './forward-request.js';
import { ForwardingDevice } from './forwarding-device.js';

export interface Fault {
  /** What the request ends with, without reaching the device behind (with `afterData`: having reached it). */
  readonly status?: BlockStatus;
  /** The device behind does its work, READ data is delivered, and only then the request ends with `status`. */
  readonly afterData?: boolean;
  /** Waits for `release`: before the device behind sees the request, or when it has done it and before that is told. */
  readonly hold?: 'before' | 'after';
}

/** Asked once for each request; null lets it pass. `index` counts requests from 0. */
export type FaultPlan = (request: BlockRequest, index: number) => Fault | null;

/** Passes requests to another device except where its plan says otherwise. */
export class FaultDevice extends ForwardingDevice {
  /** May be replaced at any time. */
  plan: FaultPlan;
  readonly #held: (() => void)[] = [];
  #index = 0;

  constructor(device: BlockDevice, plan: FaultPlan = () => null) {
    super(device);
    this.plan = plan;
  }
  /** Requests that wait for `release`. */
  get held(): number {
    return this.#held.length;
  }
  /** Lets the held request number `at` go on, counted in the order in which they were held. */
  release(at = 0): void {
    this.#held.splice(at, 1)[0]?.();
  }
  /** Lets all go on, those too that are held meanwhile: the last one first if `backwards`. */
  releaseAll({ backwards = false } = {}): void {
    while (this.#held.length > 0) this.release(backwards ? this.#held.length - 1 : 0);
  }

  submit(request: BlockRequest): void {
    const fault = this.plan(request, this.#index++);
    if (!fault) {
      this.device.submit(request);
    } else if (fault.hold === 'before') {
      this.#held.push(() => this.#run(request, fault));
    } else {
      this.#run(request, fault);
    }
  }

  #run(request: BlockRequest, fault: Fault): void {
    if (fault.status !== undefined && !fault.afterData) {
      request.onDone(fault.status);
      return;
    }
    const forward = new FaultyRequest((finish, status) => {
      const end = (): void => finish(fault.status ?? status);
      if (fault.hold === 'after') this.#held.push(end);
      else end();
    });
    forward.stand(request);
    this.device.submit(forward);
  }
}

class FaultyRequest extends ForwardRequest {
  readonly #onEnd: (finish: (status: BlockStatus) => void, status: BlockStatus) => void;
  constructor(onEnd: (finish: (status: BlockStatus) => void, status: BlockStatus) => void) {
    super();
    this.#onEnd = onEnd;
  }
  override onDone(status: BlockStatus): void {
    this.#onEnd((final) => this.leave().onDone(final), status);
  }
}
