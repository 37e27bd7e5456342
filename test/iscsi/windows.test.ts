// CmdSN and StatSN, RFC 7143 §4.2.2: windows that open, close, wrap and ignore what is late.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CommandWindow, ReceiveWindow, StatusSequence, StatusTracker } from '../../src/iscsi/windows.js';
import { serialAdd } from '../../src/util/serial32.js';

const serial = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32 - 2),
);

describe('CommandWindow', () => {
  it('hands out numbers until the window is closed', () => {
    const window = new CommandWindow(0xffff_fffe);
    assert.equal(window.update(0xffff_fffe, 1), true);
    assert.equal(window.room, 4);
    assert.deepEqual([window.take(), window.take(), window.take(), window.take()], [0xffff_fffe, 0xffff_ffff, 0, 1]);
    assert.equal(window.room, 0);
    assert.throws(() => window.take(), /closed/);
    assert.equal(window.update(0, 1), false);
    assert.equal(window.expCmdSn, 0);
    assert.equal(window.update(1, 2), true);
    assert.equal(window.take(), 2);
  });

  it('ignores values that go back, and a window that ends before it begins', () => {
    const window = new CommandWindow(10);
    window.update(10, 20);
    assert.equal(window.update(15, 13), false);
    assert.deepEqual([window.expCmdSn, window.maxCmdSn], [10, 20]);
    assert.equal(window.update(12, 19), false);
    assert.deepEqual([window.expCmdSn, window.maxCmdSn], [12, 20]);
    // A closed window: MaxCmdSN is ExpCmdSN - 1.
    const closed = new CommandWindow(10);
    assert.equal(closed.update(10, 9), false);
    assert.equal(closed.room, 0);
    assert.equal(closed.update(10, 10), true);
    assert.equal(closed.room, 1);
  });

  it('stays inside what the target allows, whatever comes', () => {
    fc.assert(
      fc.property(
        serial,
        fc.array(fc.tuple(fc.integer({ min: -5, max: 40 }), fc.integer({ min: -5, max: 40 }))),
        (first, steps) => {
          const window = new CommandWindow(first);
          let highest = -1;
          let taken = 0;
          for (const [exp, max] of steps) {
            window.update(serialAdd(first, exp), serialAdd(first, max));
            if (max >= exp - 1) highest = Math.max(highest, max);
            while (window.room > 0) {
              assert.equal(window.take(), serialAdd(first, taken));
              taken++;
            }
            assert.equal(taken, highest + 1);
          }
        },
      ),
    );
  });
});

describe('ReceiveWindow', () => {
  it('delivers in order, keeps what is early, ignores what is outside', () => {
    const window = new ReceiveWindow(0xffff_ffff, 4);
    assert.equal(window.maxCmdSn, 2);
    assert.equal(window.receive(1), 'later');
    assert.equal(window.receive(3), 'ignore');
    assert.equal(window.receive(0xffff_fffe), 'ignore');
    assert.equal(window.receive(0xffff_ffff), 'now');
    assert.equal(window.receive(0xffff_ffff), 'ignore');
    assert.equal(window.receive(0), 'now');
    assert.equal(window.receive(1), 'now');
    assert.deepEqual([window.expCmdSn, window.maxCmdSn], [2, 5]);
  });

  it('closes without going back and opens again', () => {
    const window = new ReceiveWindow(0, 3);
    assert.equal(window.maxCmdSn, 2);
    window.setSize(0);
    assert.equal(window.maxCmdSn, 2);
    for (const cmdSn of [0, 1, 2]) assert.equal(window.receive(cmdSn), 'now');
    assert.equal(window.maxCmdSn, 2);
    assert.equal(window.receive(3), 'ignore');
    window.setSize(2);
    assert.equal(window.maxCmdSn, 4);
    assert.equal(window.receive(3), 'now');
  });

  it('agrees with the initiator', () => {
    fc.assert(
      fc.property(serial, fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 30 }), (first, sizes) => {
        const target = new ReceiveWindow(first, 1);
        const initiator = new CommandWindow(first);
        for (const size of sizes) {
          target.setSize(size);
          initiator.update(target.expCmdSn, target.maxCmdSn);
          while (initiator.room > 0) assert.equal(target.receive(initiator.take()), 'now');
        }
        assert.equal(target.expCmdSn, initiator.cmdSn);
      }),
    );
  });
});

describe('StatSN', () => {
  it('advances by one for each status', () => {
    const target = new StatusSequence(0xffff_ffff);
    const initiator = new StatusTracker(target.take());
    assert.equal(initiator.expStatSn, 0);
    assert.equal(target.next, 0);
    assert.equal(initiator.receive(target.take()), 'next');
    assert.equal(initiator.receive(0), 'repeated');
    target.take();
    assert.equal(initiator.receive(target.take()), 'gap');
    assert.equal(initiator.expStatSn, 1);
  });
});
