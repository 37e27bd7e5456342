// Every secret that a test gives to a process of ours carries one mark, so that a whole run can be watched for it.

export const MARK = 'canary-';

/** @throws when something that was printed shows a secret; `args` are the words of the command line */
export function assertQuiet(args: readonly string[], printed: string): void {
  if (!printed.includes(MARK) || args.some((word) => /^(-\w*S|--show)$/.test(word))) return;
  throw new Error(`lunctl ${args.join(' ')} shows a secret:\n${printed}`);
}
