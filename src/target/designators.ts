// The names of a logical unit: what page 83h says of it, and what EXTENDED COPY may call it by (SPC-4 §7.8.5).
import { type Designator, naaDesignator, naaFromSerial, t10Designator } from '../scsi/designator.js';

/** `vendor`, `name` and `serial` as the unit has them. */
export function unitDesignators(vendor: string, name: string, serial: string): Designator[] {
  return [t10Designator(vendor, `${name}:${serial}`.slice(0, 200)), naaDesignator(naaFromSerial(serial))];
}
