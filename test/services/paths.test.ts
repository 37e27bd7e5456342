// Where files are: flags, environment, root and other users.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type PathFacts, resolvePaths } from '../../src/services/paths.js';

const facts = (more: Partial<PathFacts> = {}): PathFacts => ({
  root: true,
  home: () => '/home/me',
  hasEntries: () => false,
  exists: () => false,
  ...more,
});

describe('paths', () => {
  it('of root are those of open-iscsi and LIO', () => {
    assert.deepEqual(resolvePaths({}, {}, facts()), {
      configDir: '/etc/iscsi',
      dbDir: '/etc/iscsi',
      runDir: '/run/lunctl',
      targetConfig: '/etc/target/saveconfig.json',
      stateDir: '/var/lib/lunctl',
    });
  });
  it('the records are where they already are', () => {
    const hasEntries = (folder: string) => folder === '/var/lib/iscsi/nodes';
    assert.equal(resolvePaths({}, {}, facts({ hasEntries })).dbDir, '/var/lib/iscsi');
  });
  it('rtslib keeps its own saveconfig.json', () => {
    const exists = (path: string) => path === '/usr/bin/targetctl';
    assert.equal(resolvePaths({}, {}, facts({ exists })).targetConfig, '/etc/lunctl/saveconfig.json');
  });
  it('of others are below XDG’s folders, or home; never /tmp', () => {
    const user = facts({ root: false });
    assert.deepEqual(resolvePaths({}, {}, user), {
      configDir: '/home/me/.config/lunctl',
      dbDir: '/home/me/.local/state/lunctl',
      runDir: '/home/me/.local/state/lunctl/run',
      targetConfig: '/home/me/.local/state/lunctl/target/saveconfig.json',
      stateDir: '/home/me/.local/state/lunctl',
    });
    const env = { XDG_CONFIG_HOME: '/c', XDG_STATE_HOME: '/s', XDG_RUNTIME_DIR: '/run/user/1000' };
    assert.deepEqual(resolvePaths(env, {}, user), {
      configDir: '/c/lunctl',
      dbDir: '/s/lunctl',
      runDir: '/run/user/1000/lunctl',
      targetConfig: '/s/lunctl/target/saveconfig.json',
      stateDir: '/s/lunctl',
    });
    assert.equal(resolvePaths({ XDG_RUNTIME_DIR: 'relative' }, {}, user).runDir, '/home/me/.local/state/lunctl/run');
  });
  it('a flag wins over the environment, and that over the default', () => {
    const env = {
      LUNCTL_CONFIG_DIR: '/e/c',
      LUNCTL_DB_DIR: '/e/d',
      LUNCTL_RUN_DIR: '/e/r',
      LUNCTL_TARGET_CONFIG: '/e/t.json',
      LUNCTL_STATE_DIR: '/e/s',
    };
    assert.deepEqual(resolvePaths(env, {}, facts()), {
      configDir: '/e/c',
      dbDir: '/e/d',
      runDir: '/e/r',
      targetConfig: '/e/t.json',
      stateDir: '/e/s',
    });
    const paths = resolvePaths(env, { configDir: '/f/c', dbDir: 'relative', runDir: '' }, facts());
    assert.equal(paths.configDir, '/f/c');
    assert.equal(paths.dbDir, `${process.cwd()}/relative`);
    assert.equal(paths.runDir, '/e/r');
  });
  it('a home that nobody needs is not asked for', () => {
    const home = () => {
      throw new Error('no home');
    };
    const all = { configDir: '/c', dbDir: '/d', runDir: '/r', targetConfig: '/t' };
    assert.deepEqual(resolvePaths({}, all, facts({ root: false, home })), { ...all, stateDir: '/d' });
    assert.throws(() => resolvePaths({}, {}, facts({ root: false, home })), /no home/);
  });
  it('a run folder too long for its sockets is refused, in bytes', () => {
    assert.equal(resolvePaths({}, { runDir: `/${'x'.repeat(80)}` }, facts()).runDir.length, 81);
    for (const name of ['x'.repeat(81), 'é'.repeat(41)]) {
      assert.throws(() => resolvePaths({}, { runDir: `/${name}` }, facts()), { code: 'ERR_USAGE', hint: /--run-dir/ });
    }
  });
});
