// Of the numbers in records and iscsid.conf that lunctl uses: the least and the most that it takes; others are passed over.

/** What a record may say of a time, seconds. */
export const LONGEST_S = 86_400;
/** MaxRecvDataSegmentLength and its like: RFC 7143 §13.12. */
export const SEGMENT_LENGTH = [512, 2 ** 24 - 1] as const;

const RANGES = {
  // More sessions of one record are somebody's mistake.
  'node.session.nr_sessions': [1, 32],
  'node.session.cmds_max': [1, 65_535],
  'node.session.queue_depth': [1, 65_535],
  'node.session.iscsi.FirstBurstLength': SEGMENT_LENGTH,
  'node.session.iscsi.MaxBurstLength': SEGMENT_LENGTH,
  'node.session.iscsi.MaxOutstandingR2T': [1, 65_535],
  'node.session.iscsi.DefaultTime2Retain': [0, 3600],
  'node.conn[0].iscsi.MaxRecvDataSegmentLength': SEGMENT_LENGTH,
  'discovery.sendtargets.iscsi.MaxRecvDataSegmentLength': SEGMENT_LENGTH,
  'node.conn[0].timeo.login_timeout': [1, LONGEST_S],
  'node.conn[0].timeo.logout_timeout': [1, LONGEST_S],
  'node.conn[0].timeo.noop_out_interval': [0, LONGEST_S],
  'node.conn[0].timeo.noop_out_timeout': [0, LONGEST_S],
  'node.session.err_timeo.abort_timeout': [1, LONGEST_S],
  'node.session.err_timeo.lu_reset_timeout': [1, LONGEST_S],
  'node.session.err_timeo.tgt_reset_timeout': [1, LONGEST_S],
  'discovery.sendtargets.timeo.login_timeout': [1, LONGEST_S],
} as const;

/** A key whose number has a range. */
export type RangedKey = keyof typeof RANGES;

/** The least and the most that a key's number may be; undefined for a key that has no range. */
export function rangeOf(key: string): readonly [number, number] | undefined {
  return Object.hasOwn(RANGES, key) ? RANGES[key as RangedKey] : undefined;
}

/** The number that a key's value says; undefined for what is none or out of its range. */
export function rangedNumber(key: RangedKey, text: string): number | undefined {
  const [least, most] = RANGES[key];
  return numberWithin(text, least, most);
}

/** Decimal digits alone, from `least` to `most`; undefined for everything else. */
export function numberWithin(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value < least || value > most ? undefined : value;
}
