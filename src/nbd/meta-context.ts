// The metadata contexts there are, and which queries find them. NBD proto.md "Metadata querying".

/** The one context. Its id is ours to choose, and the same for all clients. */
export const ALLOCATION = { id: 1, name: 'base:allocation' } as const;

/**
 * Whether `queries` name base:allocation. A LIST may say `base:` for all contexts of that namespace, and nothing for all
 * there are; a SET must name each one. Unknown namespaces and leaf names find nothing, and are no error.
 */
export function matches(queries: readonly string[], isSet: boolean): boolean {
  if (queries.includes(ALLOCATION.name)) return true;
  return !isSet && (queries.length === 0 || queries.includes('base:'));
}
