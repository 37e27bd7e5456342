// What an NBD server offers, by name.
import type { BlockDevice } from '../block/block-device.js';

/** One disk that clients may open. */
export interface NbdExport {
  /** UTF-8, at most 4096 bytes: `lun0`, `lun0p1`. */
  readonly name: string;
  /** Shown by NBD_OPT_LIST and NBD_INFO_DESCRIPTION; at most 4096 bytes. */
  readonly description: string;
  readonly device: BlockDevice;
  /** Refuses writes even where the device takes them. */
  readonly readOnly: boolean;
  /**
   * Whether a FLUSH on one connection covers the writes that were completed on all others (NBD_FLAG_CAN_MULTI_CONN).
   * Default true: all connections of a server share the device.
   */
  readonly multiConn?: boolean;
}

/** Where a connection looks exports up. Consulted anew for every option, so exports may come and go. */
export interface ExportRegistry {
  /** All exports in the order in which NBD_OPT_LIST shows them. */
  list(): readonly NbdExport[];
  /** The export of that name; the empty name asks for the default export. */
  find(name: string): NbdExport | undefined;
}

/** A registry to add to and remove from. The default export is the one added first. */
export class ExportTable implements ExportRegistry {
  readonly #exports = new Map<string, NbdExport>();

  constructor(exports: Iterable<NbdExport> = []) {
    for (const entry of exports) this.add(entry);
  }
  /** Adds an export, or replaces the one of the same name in its place. */
  add(entry: NbdExport): void {
    this.#exports.set(entry.name, entry);
  }
  /** Connections that use it already keep it until they end. */
  remove(name: string): void {
    this.#exports.delete(name);
  }
  list(): readonly NbdExport[] {
    return [...this.#exports.values()];
  }
  find(name: string): NbdExport | undefined {
    if (name !== '') return this.#exports.get(name);
    const [first] = this.#exports.values();
    return this.#exports.get('') ?? first;
  }
}
