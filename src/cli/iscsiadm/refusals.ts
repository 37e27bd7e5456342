// iscsiadm's words for a change that a record does not take.
import type { Ignored, RefusedChange } from '../../records/changes.js';

/** One line each. `inNode`: mode node says one more for a value. */
export function refusedLines(error: RefusedChange, { inNode = true } = {}): string[] {
  const { refusal, key, value } = error;
  switch (refusal) {
    case 'unknown-key':
      return [`Cannot modify ${key}. Invalid param name.`];
    case 'fixed-key':
      return key === 'iface.iscsi_ifacename'
        ? ['Can not update iface.iscsi_ifacename. Delete it, and then create a new one.']
        : [`Cannot modify ${key}. It is used to look up the record and cannot be changed.`];
    case 'iface-key':
      return [`Cannot modify ${key}. Use iface mode to update this value.`];
    case 'bad-value': {
      const what = value === '' ? error.message : `unknown value format '${value}' for parameter name '${key}'`;
      return inNode ? [what, `Unknown parameter ${key}.`] : [what];
    }
    case 'binding':
      return [`Can not update interface binding from ${shortName(value)} to ${shortName(key)}. ${AGAIN}`];
    case 'special-iface':
      return [`iface ${key} is a special interface and cannot be modified.`];
  }
}

const AGAIN = 'You must delete the interface and create a new one';

function shortName(key: string): string {
  return key.replace('iface.', '');
}

/** A word of a list that is left out. */
export function ignoredLine({ key, word, why }: Ignored): string {
  return `Ignoring ${why} value '${word}' for '${key}'`;
}
