// What MODE SELECT can change of a unit (SPC-4 §7.5). Values are those of all initiators together and are not saved.

export class ModeState {
  /** Whether there is a volatile cache at all: only then can WCE be anything but 0. */
  #hasWriteCache: boolean;
  /** WCE. Off means that every write is flushed before its status. */
  writeCache: boolean;
  /** D_SENSE. */
  descriptorSense = false;
  /** SWP. */
  writeProtected = false;

  constructor(hasWriteCache: boolean) {
    this.#hasWriteCache = hasWriteCache;
    this.writeCache = hasWriteCache;
  }
  get hasWriteCache(): boolean {
    return this.#hasWriteCache;
  }
  /** The administrator's decision: MODE SELECT starts from it. */
  setWriteCache(hasWriteCache: boolean): void {
    this.#hasWriteCache = hasWriteCache;
    this.writeCache = hasWriteCache;
  }
  /** Back to the defaults, as a logical unit reset demands (SPC-4 §5.11). */
  reset(): void {
    this.writeCache = this.#hasWriteCache;
    this.descriptorSense = false;
    this.writeProtected = false;
  }
}
