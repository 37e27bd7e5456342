// The base of devices that stand before another one: what they say of themselves is what that one says.
import { allocationOf } from './allocation.js';
import type { BlockDevice, BlockRequest, ByteRange, Extent } from './block-device.js';

export abstract class ForwardingDevice implements BlockDevice {
  /** The device behind. */
  protected readonly device: BlockDevice;

  constructor(device: BlockDevice) {
    this.device = device;
  }
  get sizeBytes(): number {
    return this.device.sizeBytes;
  }
  get blockSize(): number {
    return this.device.blockSize;
  }
  get physicalBlockSize(): number {
    return this.device.physicalBlockSize;
  }
  get optimalIoSize(): number {
    return this.device.optimalIoSize;
  }
  get maxTransfer(): number {
    return this.device.maxTransfer;
  }
  get readOnly(): boolean {
    return this.device.readOnly;
  }
  get writeCache(): boolean {
    return this.device.writeCache;
  }
  get writeLosses(): number {
    return this.device.writeLosses;
  }
  get canTrim(): boolean {
    return this.device.canTrim;
  }
  get canWriteZeroes(): boolean {
    return this.device.canWriteZeroes;
  }
  abstract submit(request: BlockRequest): void;
  allocation(range: ByteRange, most: number): Promise<readonly Extent[]> {
    return allocationOf(this.device, range, most);
  }
  prefetch(range: ByteRange): void {
    this.device.prefetch?.(range);
  }
  close(): Promise<void> {
    return this.device.close();
  }
}
