// Text from a peer, a file or a command line, made safe to show: the only place that says what may reach a terminal or a log.

/** Control characters (C0, DEL, C1), format controls (bidirectional ones above all), surrogates, unassigned, line separators. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * `text` without what a terminal would obey or reorder by, cut to `most` characters with a mark. The cut comes first:
 * the work is bounded by it, whatever a peer sends.
 */
export function printable(text: string, most = Number.POSITIVE_INFINITY): string {
  return text.length <= most ? text.replaceAll(UNSAFE, '') : `${text.slice(0, most).replaceAll(UNSAFE, '')}…`;
}

/** The same on one line: white space of every kind becomes one blank. */
export function oneLine(text: string): string {
  return printable(text.replaceAll(/\s+/g, ' ')).trim();
}
