// What arguments for mount(8) mean for a line of fstab, which has room for options only.
import { AppError } from '../util/errors.js';

const SWITCHES: Readonly<Record<string, string>> = {
  '-r': 'ro',
  '--read-only': 'ro',
  '-w': 'rw',
  '--rw': 'rw',
  '--read-write': 'rw',
};

/**
 * The options among arguments for mount: `-o noexec,nosuid`, `-onoexec`, `--options=noexec`, `-r`.
 * @throws AppError ERR_USAGE for any other argument: it would be forgotten at the next boot.
 */
export function mountOptionsOf(extra: readonly string[]): string[] {
  const options: string[] = [];
  for (let i = 0; i < extra.length; i++) {
    const argument = extra[i] ?? '';
    const inline = /^(?:--options=|-o(?=.))(.*)$/s.exec(argument)?.[1];
    if (inline !== undefined) options.push(...inline.split(','));
    else if (argument === '-o' || argument === '--options') options.push(...(extra[++i] ?? '').split(','));
    else if (SWITCHES[argument] !== undefined) options.push(SWITCHES[argument]);
    else {
      throw new AppError('ERR_USAGE', `mount argument ${argument} has no place in fstab`, {
        hint: 'with --fstab only -o OPTIONS can be passed on',
      });
    }
  }
  return options.filter((option) => option !== '');
}
