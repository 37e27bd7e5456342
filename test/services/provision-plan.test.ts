// The lines of provisioning's dry run: each must be one that lunctl takes, with the meaning of the step it stands for.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readPortal } from '../../src/iscsi/portal.js';
import { loginLine } from '../../src/services/disk/provision-plan.js';

const TARGET = 'iqn.2026-11.example:disk';

describe('the login of a dry run', () => {
  for (const [address, port, word] of [
    ['storage.example', null, 'storage.example'],
    ['192.0.2.7', 3261, '192.0.2.7:3261'],
    ['2001:db8::7', null, '2001:db8::7'],
    ['2001:db8::7', 3261, "'[2001:db8::7]:3261'"],
    ['fe80::1%eth0', 3261, "'[fe80::1%eth0]:3261'"],
  ] as const) {
    it(`names the portal ${address} with ${port ?? 'no'} port as -p reads it`, () => {
      assert.equal(loginLine(TARGET, { address, port }), `lunctl node login -T ${TARGET} -p ${word} --attach none`);
      const read = readPortal(word.replaceAll("'", ''));
      assert.deepEqual(read, { address, port: port ?? 3260, tpgt: null });
    });
  }

  it('names no portal where a record has it', () => {
    assert.equal(loginLine(TARGET), `lunctl node login -T ${TARGET} --attach none`);
  });
});
