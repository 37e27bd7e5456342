// iSCSI names, RFC 7143 §4.2.7: iqn., eui. and naa. A name that passes may go into a path and onto a terminal.
import { AppError } from '../util/errors.js';
import { printable } from '../util/printable.js';

/** Longest iSCSI name in bytes (§4.2.7.1). */
export const NAME_LARGEST = 223;

// ASCII names without stringprep (RFC 3722). Capital letters and underscores are against that profile, but appliances in the
// field put them into their default names, and open-iscsi takes them: a name is used as it was given, never folded.
const IQN = /^iqn\.\d{4}-(?:0[1-9]|1[0-2])\.[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[a-zA-Z0-9.:_-]+)?$/;
const EUI = /^eui\.[0-9a-f]{16}$/i;
const NAA = /^naa\.(?:[0-9a-f]{16}|[0-9a-f]{32})$/i;

/** Whether `name` is an iSCSI name that this program takes. */
export function isIscsiName(name: string): boolean {
  return name.length <= NAME_LARGEST && (IQN.test(name) || EUI.test(name) || NAA.test(name));
}

/** `name` as it was given, or AppError ERR_USAGE that says what is wrong with it. */
export function checkIscsiName(name: string): string {
  if (isIscsiName(name)) return name;
  throw new AppError('ERR_USAGE', `"${printable(name, 80)}" is not an iSCSI name: ${complaint(name)}`, {
    hint: 'names look like iqn.2022-08.com.example:storage.disk1',
  });
}

function complaint(name: string): string {
  if (Buffer.byteLength(name) > NAME_LARGEST) return `it is longer than ${NAME_LARGEST} bytes`;
  if (!/^(?:iqn|eui|naa)\./.test(name)) return 'it must begin with iqn., eui. or naa.';
  if (name.startsWith('iqn.') && !/^iqn\.\d{4}-\d{2}\./.test(name)) return 'a year and month must follow "iqn."';
  return 'it has characters that are not allowed, or a part is missing';
}
