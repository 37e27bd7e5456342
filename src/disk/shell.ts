// Commands as a person would type them: for --dry-run and the demo. Nothing here is ever run by a shell of ours.

const PLAIN = /^[\w@%+=:,./-]+$/;

/** One word, quoted for a POSIX shell if need be. */
export function shellWord(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command line; `input` goes in through a printf in front, `env` are variables that it gets. */
export function shellLine(
  program: string,
  args: readonly string[],
  input?: string,
  env: Readonly<Record<string, string>> = {},
): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${shellWord(value)}`);
  const command = [...variables, ...[program, ...args].map(shellWord)].join(' ');
  if (input === undefined) return command;
  const lines = input.replace(/\n$/, '').split('\n').map(shellWord);
  return `printf '%s\\n' ${lines.join(' ')} | ${command}`;
}
