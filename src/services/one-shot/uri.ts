// iscsi://[user@]HOST[:PORT]/IQN/LUN: one LUN in one word, as libiscsi, QEMU and libvirt write it.
import { checkIscsiName } from '../../iscsi/names.js';
import { type Portal, parsePortal } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';

export interface IscsiUri {
  /** CHAP user, or null. */
  readonly user: string | null;
  readonly portal: Portal;
  readonly targetName: string;
  readonly lun: number;
}

/** Of the flat space, SAM-5 §4.7.3: the largest that two bytes address. */
const LARGEST_LUN = 16_383;
const SCHEME = 'iscsi://';

/** @throws AppError ERR_USAGE; no message shows what stands before the @, which may be a secret by mistake */
export function parseIscsiUri(text: string): IscsiUri {
  if (!text.startsWith(SCHEME)) throw malformed('it does not begin with iscsi://');
  const [authority = '', iqn = '', lun = '', ...more] = text.slice(SCHEME.length).split('/');
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? null : readUser(authority.slice(0, at));
  if (iqn === '' || lun === '' || more.length > 0) throw malformed('after the host there must be a target and a LUN');
  const portal = parsePortal(decode(authority.slice(at + 1), 'the host'));
  return { user, portal, targetName: checkIscsiName(decode(iqn, 'the target')), lun: readLun(lun) };
}

function readUser(text: string): string {
  // user:secret, and libiscsi's own user%secret.
  if (text.includes(':') || /%(?![0-9a-fA-F]{2})/.test(text)) {
    throw new AppError('ERR_USAGE', 'a secret in the address can be read by everybody on this host', {
      hint: 'write iscsi://USER@HOST/… and give the secret with --chap-secret-file FILE, or type it when asked',
    });
  }
  const user = decode(text, 'the user');
  if (user === '') throw malformed('the user before the @ is empty');
  return user;
}

function readLun(text: string): number {
  const lun = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(lun <= LARGEST_LUN)) throw malformed(`the LUN must be a decimal number up to ${LARGEST_LUN}`);
  return lun;
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed(`${what} is not percent-encoded UTF-8`);
  }
}

function malformed(why: string): AppError {
  return new AppError('ERR_USAGE', `not the address of a LUN: ${why}`, {
    hint: 'write iscsi://HOST[:PORT]/IQN/LUN, an IPv6 address in brackets',
  });
}
