// Loads what src/cli/bundle.ts makes: the programs in many pieces, with what V8 has compiled of them at build time.
// Compiled code that does not fit this Node is left aside by V8, and the start takes longer.
const { existsSync, readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const vm = require('node:vm');

const dist = join(__dirname, '../dist');
const outside = createRequire(join(dist, 'bundle.js'));
/** The scripts that were read, by their names: pieces, and packs of those that the most frequent commands need. */
const scripts = new Map();
/** What the pieces export, by their names. Each runs once. */
const modules = new Map();
let packed = {};

/** What the program called `name` exports. */
function loadProgram(name) {
  const pack = `${name}.pack`;
  if (existsSync(join(dist, 'bundle', pack))) packed = read(pack);
  return load(`${name}.js`);
}

function load(name) {
  const known = modules.get(name);
  if (known !== undefined) return known.exports;
  const piece = packed[name] || read(name);
  const module = { exports: {} };
  modules.set(name, module);
  piece(module.exports, required, module, dist, moduleUrl, later);
  return module.exports;
}

/** The value of a script in dist/bundle. */
function read(name) {
  const filename = join(dist, 'bundle', name);
  const script = new vm.Script(readFileSync(filename, 'latin1'), { filename, cachedData: compiled(filename) });
  scripts.set(name, script);
  return script.runInThisContext();
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

exports.loadProgram = loadProgram;
exports.modules = modules;
exports.scripts = scripts;
