// What is answered without oclif, because scripts and shells ask it all the time: iscsiadm's command line and the version.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { main as iscsiadm } from './iscsiadm/main.js';

/**
 * Runs `iscsiadm WORD…`, `-m MODE …`, `__complete KIND` or `--version`, and returns the exit code.
 * @param argv the words after `lunctl`
 * @param root the package folder, with package.json
 */
export async function main(argv: readonly string[], root: string): Promise<number> {
  const [first] = argv;
  if (first === '--version') {
    process.stdout.write(`${versionText(root)}\n`);
    return 0;
  }
  if (first === '__complete') {
    const { complete } = await import('./complete.js');
    await complete(argv.slice(1));
    return 0;
  }
  return iscsiadm(first === 'iscsiadm' ? argv.slice(1) : argv);
}

/** As oclif writes it. */
function versionText(root: string): string {
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>;
  return `${name}/${version} ${process.platform}-${process.arch} node-${process.version}`;
}
