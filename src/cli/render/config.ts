// `config show` and `config check`, line by line.
import type { Finding } from '../../services/config-check.js';
import type { Origin, Setting } from '../../services/config-show.js';
import { printable } from '../../util/printable.js';
import { shownValue } from './iscsiadm.js';

/** `file:/etc/iscsi/iscsid.conf:12`, `environment:LUNCTL_DB_DIR`, `default`. */
export function originText({ kind, name, line }: Origin): string {
  return [kind, name, line].filter((part) => part !== null).join(':');
}

export function settingLine({ key, value }: Setting, showSecrets: boolean): string {
  return `${printable(key)} = ${shownValue(key, value, showSecrets)}\n`;
}

/** `warning: PATH:LINE: what is the matter`, and what to do below it. */
export function findingText({ level, where, message, hint }: Finding): string {
  const first = `${level}: ${printable(where)}: ${printable(message)}\n`;
  return hint === null ? first : `${first}  hint: ${printable(hint)}\n`;
}
