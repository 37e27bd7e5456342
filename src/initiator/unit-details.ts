// What a disk says of its limits beyond what I/O needs: VPD pages B0h, B1h, B2h (SBC-3 §6.6).
import { putInquiry } from '../scsi/cdb-primary.js';
import { parseSupportedPages, VpdPage } from '../scsi/vpd.js';
import {
  type BlockCharacteristics,
  type BlockLimits,
  type Provisioning,
  parseBlockCharacteristics,
  parseBlockLimits,
  parseProvisioning,
} from '../scsi/vpd-block.js';
import { Questioner } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** Null: a page that the unit does not have. */
export interface UnitDetails {
  readonly limits: BlockLimits | null;
  readonly characteristics: BlockCharacteristics | null;
  readonly provisioning: Provisioning | null;
}

/** Rejects only when the session is lost. */
export async function readUnitDetails(session: InitiatorSession, lun: Buffer, timeoutMs: number): Promise<UnitDetails> {
  const unit = new Questioner(session, lun, timeoutMs);
  const read = <T>(page: number, parse: (data: Buffer) => T) =>
    unit.optional(() => unit.read((cdb) => putInquiry(cdb, 0, page, 255), 255), parse);
  const pages = (await read(VpdPage.SupportedPages, parseSupportedPages)) ?? [];
  const page = <T>(code: number, parse: (data: Buffer) => T) =>
    pages.includes(code) ? read(code, parse) : Promise.resolve(null);
  return {
    limits: await page(VpdPage.BlockLimits, parseBlockLimits),
    characteristics: await page(VpdPage.BlockDeviceCharacteristics, parseBlockCharacteristics),
    provisioning: await page(VpdPage.LogicalBlockProvisioning, parseProvisioning),
  };
}
