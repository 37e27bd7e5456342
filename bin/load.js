// Loads what src/cli/bundle.ts makes: the program in a few dozen pieces, with what V8 has compiled of each at build time.
// Compiled code that does not fit this Node is left aside by V8, and the start takes longer.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const vm = require('node:vm');

const dist = join(__dirname, '../dist');
const outside = createRequire(join(dist, 'bundle.js'));
/** By name: `{ module, script }`. Each piece runs once. */
const pieces = new Map();

/** What the piece called `name` exports. */
function load(name) {
  const known = pieces.get(name);
  if (known !== undefined) return known.module.exports;
  const filename = join(dist, 'bundle', name);
  const script = new vm.Script(readFileSync(filename, 'latin1'), { filename, cachedData: compiled(filename) });
  const module = { exports: {} };
  pieces.set(name, { module, script });
  script.runInThisContext()(module.exports, required, module, dist, moduleUrl, later);
  return module.exports;
}

function compiled(filename) {
  try {
    return readFileSync(`${filename}.cache`);
  } catch (_missing) {
    return undefined;
  }
}

function required(id) {
  return id.startsWith('./') ? load(id.slice(2)) : outside(id);
}
required.resolve = outside.resolve;

/** `import.meta.url` of the module that is `path` below dist/. */
function moduleUrl(path) {
  return pathToFileURL(join(dist, path)).href;
}

/** `import()`, which a script that was compiled beforehand has not. */
async function later(id) {
  return id.startsWith('./') ? load(id.slice(2)) : import(id);
}

exports.load = load;
exports.pieces = pieces;
