#!/usr/bin/env node
// Starts lunctl. Written so that even Node 12 can parse it and say what is wrong.

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`lunctl: needs Node 20.19 or newer, this is ${process.versions.node} [1]\n`);
  process.exit(1);
}
// Wrappers take any text on standard error for a failure: Node's own warnings do not belong there.
process.removeAllListeners('warning');

const root = new URL('..', import.meta.url).pathname;
import('../dist/cli/main.js')
  .then((cli) => cli.main(process.argv.slice(2), decodeURIComponent(root)))
  .then(
    // A forgotten handle must not keep a finished command alive.
    () => process.exit(process.exitCode || 0),
    (error) => {
      process.stderr.write(`lunctl: cannot start: ${error.message} [1]\n`);
      process.exit(1);
    },
  );
