import assert from 'node:assert/strict';
import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { checkTrustedFolder } from '../../src/util/trusted-folder.js';

const refused = (path: string, message: RegExp) =>
  assert.throws(() => checkTrustedFolder(path), { code: 'ERR_ACCESS', message });

describe('checkTrustedFolder', () => {
  const root = mkdtempSync(join(tmpdir(), 'lunctl-trust-'));
  after(() => rmSync(root, { recursive: true }));
  const make = (name: string, mode: number) => {
    const path = join(root, name);
    mkdirSync(path);
    chmodSync(path, mode);
    return path;
  };

  it('takes a folder of our own, below a sticky one too, and one that is still to be made', () => {
    checkTrustedFolder(root);
    checkTrustedFolder(join(make('open', 0o755), 'not/yet'));
    checkTrustedFolder(join(make('sticky', 0o1777), 'below'));
  });
  it('refuses what others may write to, and what lies below it', () => {
    refused(make('group', 0o770), /may write to .*group/);
    refused(join(make('world', 0o777), 'below/that'), /may write to .*world/);
  });
  it('looks behind a link', () => {
    symlinkSync(make('behind', 0o777), join(root, 'link'));
    refused(join(root, 'link'), /may write to .*behind/);
  });
  it('refuses what another user owns: a folder, a link, a folder on the way', {
    skip: process.getuid?.() !== 0 && 'giving files away needs root',
  }, () => {
    const theirs = make('theirs', 0o755);
    chownSync(theirs, 65_533, 65_533);
    refused(theirs, /belongs to user 65533/);
    refused(join(theirs, 'below'), /belongs to user 65533/);
    const link = join(root, 'their-link');
    symlinkSync(root, link);
    lchownSync(link, 65_533, 65_533);
    refused(link, /their-link belongs to user 65533/);
  });
});
