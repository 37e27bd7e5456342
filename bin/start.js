// Starts either program. Written so that even Node 12 can parse it and say what is wrong. CommonJS, because loading an ES
// module takes Node's thread pool, whose size is looked up once, at its first use.

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`lunctl: needs Node 20.19 or newer, this is ${process.versions.node} [1]\n`);
  process.exit(1);
}
// Wrappers take any text on standard error for a failure: Node's own warnings do not belong there.
process.removeAllListeners('warning');
/** Runs `words` by `main` of what `load` gives or promises, and ends the process. */
exports.start = (load, words) => {
  Promise.resolve()
    .then(load)
    .then(({ main }) => main(words, `${__dirname}/..`))
    .then(
      // A forgotten handle must not keep a finished command alive.
      (code) => process.exit(code || process.exitCode || 0),
      (error) => {
        process.stderr.write(`lunctl: cannot start: ${error.message} [1]\n`);
        process.exit(1);
      },
    );
};
