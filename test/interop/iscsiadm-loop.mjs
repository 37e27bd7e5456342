// Gives command lines to our iscsiadm one after the other in one process, as hundreds of starts of Node would take minutes.
// Reads the file `commands` in the folder that it is started in, and writes N.out, N.err and N.code beside it.
import fs, { readFileSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [, , program] = process.argv;
const written = { 1: [], 2: [] };
const { writeSync } = fs;
fs.writeSync = (fd, bytes, at, ...rest) => {
  if (fd !== 1 && fd !== 2) return writeSync(fd, bytes, at, ...rest);
  written[fd].push(Buffer.from(bytes.subarray(at)));
  return bytes.length - at;
};
syncBuiltinESMExports();

const { main } = await import(program);
const lines = readFileSync('commands', 'utf8').trimEnd().split('\n');
for (const [i, line] of lines.entries()) {
  const [, ...words] = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c);
  const code = await main(words);
  // What a command leaves for the moments before its process ends.
  process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM');
  writeFileSync(`${i + 1}.out`, Buffer.concat(written[1].splice(0)));
  writeFileSync(`${i + 1}.err`, Buffer.concat(written[2].splice(0)));
  writeFileSync(`${i + 1}.code`, `${code}\n`);
}
process.exit(0);
