// What `nbd` prints under --json, once clients can connect.
import * as v from 'valibot';
import type { OneShotExport } from '../../services/one-shot/one-shot.js';
import { bytes, type Describes, document, flag, list, lun, targetName, text } from './parts.js';

const uri = text(
  'URI for NBD clients: nbd+unix:///EXPORT?socket=PATH, nbds://HOST:PORT/EXPORT or nbd://HOST:PORT/EXPORT.',
);

const served = v.strictObject({
  name: text('Name of the export.'),
  uri,
  sizeBytes: bytes('Its size.'),
  readOnly: flag('Clients cannot write.'),
}) satisfies Describes<OneShotExport>;

export const nbd = document('nbd', 'The LUN is being served.', {
  uri,
  targetName,
  lun,
  exports: list(served, 'The LUN, then its partitions.'),
});
