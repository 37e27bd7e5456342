// Starts either program. Written so that even Node 12 can parse it and say what is wrong. CommonJS, because loading an ES
// module starts Node's thread pool, whose size is looked up once, at its first use.

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`lunctl: needs Node 20.19 or newer, this is ${process.versions.node} [1]\n`);
  process.exit(1);
}
// Wrappers take any text on standard error for a failure: Node's own warnings do not belong there.
process.removeAllListeners('warning');
// `serve` reads, writes and syncs its disks in these threads: with four, as few slow fdatasync calls stop everything.
if (process.env.UV_THREADPOOL_SIZE === undefined) process.env.UV_THREADPOOL_SIZE = '16';

/** Runs `words` by the bundle called `name` and ends the process. */
exports.start = (name, words) => {
  Promise.resolve()
    .then(() => require('./load.js').load(name).exports.main(words, `${__dirname}/..`))
    .then(
      // A forgotten handle must not keep a finished command alive.
      (code) => process.exit(code || process.exitCode || 0),
      (error) => {
        process.stderr.write(`lunctl: cannot start: ${error.message} [1]\n`);
        process.exit(1);
      },
    );
};
