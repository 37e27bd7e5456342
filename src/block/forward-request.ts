// A request that stands for another one: what a device in front of a device submits to the one behind it.
import type { RefBuffer } from '../util/ref-buffer.js';
import { BlockOp, type BlockRequest, type BlockStatus } from './block-device.js';

/** Passes data and completion on to `origin`. Pooled by the device that makes it; subclasses change what they need. */
export class ForwardRequest implements BlockRequest {
  op: BlockOp = BlockOp.Read;
  offset = 0;
  length = 0;
  flags = 0;
  payload: Buffer | null = null;
  payloadOwner: RefBuffer | null = null;
  protected origin: BlockRequest | null = null;

  /** Becomes a copy of `origin`, `shift` bytes further on. */
  stand(origin: BlockRequest, shift = 0): void {
    this.origin = origin;
    this.op = origin.op;
    this.offset = origin.offset + shift;
    this.length = origin.length;
    this.flags = origin.flags;
    this.payload = origin.payload;
    this.payloadOwner = origin.payloadOwner;
  }
  /** Forgets `origin` and its memory, and returns it. */
  protected leave(): BlockRequest {
    const origin = this.origin;
    if (!origin) throw new Error('a block request was completed twice');
    this.origin = null;
    this.payload = null;
    this.payloadOwner = null;
    return origin;
  }
  onData(piece: Buffer, at: number, owner: RefBuffer | null): void {
    this.origin?.onData(piece, at, owner);
  }
  onRewind(at: number): boolean {
    return this.origin?.onRewind?.(at) ?? false;
  }
  onDone(status: BlockStatus): void {
    this.leave().onDone(status);
  }
}
