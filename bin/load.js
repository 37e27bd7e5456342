// Loads one of the files that src/cli/bundle.ts makes, with what V8 has compiled of it at build time. Compiled code that
// does not fit this Node is left aside by V8, and the start takes longer.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { dirname, join } = require('node:path');
const vm = require('node:vm');

/** What the bundle called `name` exports, and the script that it is. */
exports.load = (name) => {
  const filename = join(__dirname, '../dist', `${name}.bundle`);
  const script = new vm.Script(readFileSync(filename, 'latin1'), {
    filename,
    cachedData: compiled(filename),
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename));
  return { exports: module.exports, script };
};

function compiled(filename) {
  try {
    return readFileSync(`${filename}.cache`);
  } catch (_missing) {
    return undefined;
  }
}
