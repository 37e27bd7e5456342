// The folder rule is only worth its name if breaking it fails: lints a made-up tree under the project's own settings.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

const tree: Record<string, string> = {
  'src/scsi/bad-sibling.ts': '../iscsi/names.js',
  'src/util/bad-upward.ts': '../block/block-device.js',
  'src/nbd/wire/bad-deep.ts': '../../initiator/lun.js',
  'src/services/bad-caller.ts': '../cli/base-command.js',
  'src/services/session/bad-deep-caller.ts': '../../cli/base-command.js',
  'src/target/bad-socket.ts': 'node:net',
  'src/iscsi/bad-cycle-a.ts': './bad-cycle-b.js',
  'src/iscsi/bad-cycle-b.ts': './bad-cycle-a.js',
  'src/nbd/bad-type-cycle-a.ts': './bad-type-cycle-b.js',
  'src/nbd/bad-type-cycle-b.ts': './bad-type-cycle-a.js',
  'src/commands/good-downward.ts': '../services/login.js',
  'src/target/good-skip.ts': '../scsi/cdb.js',
  'src/transport/good-socket.ts': 'node:net',
};
let folder: string;
let report: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'layers-'));
  await cp('biome.json', join(folder, 'biome.json'));
  for (const [path, specifier] of Object.entries(tree)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    const text = path.includes('type')
      ? `import type { X } from '${specifier}';\n\nexport type Y = X | null;\n`
      : `import { x } from '${specifier}';\n\nexport const y = () => x;\n`;
    await writeFile(join(folder, path), text);
  }
  report = await new Promise((resolve) => {
    const args = ['lint', '--vcs-enabled=false', '--max-diagnostics=none', '--reporter=github'];
    execFile(join(process.cwd(), 'node_modules/.bin/biome'), args, { cwd: folder }, (_error, out, err) =>
      resolve(out + err),
    );
  });
});
after(() => rm(folder, { recursive: true }));

for (const path of Object.keys(tree)) {
  const name = path.split('/').pop() as string;
  if (name.startsWith('good')) {
    test(`${path} is accepted`, () => assert.ok(!report.includes(name), report));
  } else {
    const rule = name.includes('cycle') ? 'noImportCycles' : 'noRestrictedImports';
    test(`${path} fails by ${rule}`, () => assert.match(report, new RegExp(`${rule}[^\\n]*${name}`)));
  }
}
