// The sign of a wait: only on a terminal, only past a second, and never in the way of other output.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { ProgressSign, type SignOutput } from '../../src/cli/progress.js';

const CLEARED = '\r\x1b[K';

class Screen implements SignOutput {
  readonly written: string[] = [];
  constructor(
    readonly isTTY: boolean,
    readonly columns?: number,
  ) {}
  write(text: string): void {
    this.written.push(text);
  }
}

describe('progress sign', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  it('stays silent for a second, then says what goes on, and leaves an empty line', () => {
    const screen = new Screen(true, 80);
    const sign = new ProgressSign(screen, {});
    sign.start('logging in\nto t1');
    mock.timers.tick(999);
    assert.deepEqual(screen.written, []);
    mock.timers.tick(1);
    const [first = '', ...more] = screen.written;
    assert.match(first, /^\rlogging in to t1 … \d+ s/);
    assert.deepEqual([first.endsWith('\x1b[K'), more], [true, []]);
    sign.say('looking for disks');
    mock.timers.tick(1000);
    assert.match(screen.written.at(-1) ?? '', /^\rlooking for disks … /);
    sign.stop();
    assert.equal(screen.written.at(-1), CLEARED);
    const { length } = screen.written;
    mock.timers.tick(10_000);
    sign.stop();
    assert.equal(screen.written.length, length);
  });
  it('makes room for a line of output and comes back', () => {
    const screen = new Screen(true, 80);
    const sign = new ProgressSign(screen, {});
    sign.start('formatting');
    mock.timers.tick(1000);
    sign.hide();
    sign.hide();
    assert.deepEqual(screen.written.slice(1), [CLEARED]);
    mock.timers.tick(1000);
    assert.match(screen.written.at(-1) ?? '', /^\rformatting/);
    sign.stop();
  });
  it('never wraps a narrow terminal', () => {
    const screen = new Screen(true, 20);
    const sign = new ProgressSign(screen, {});
    sign.start('x'.repeat(200));
    mock.timers.tick(1000);
    assert.equal(screen.written[0]?.replace('\r', '').replace('\x1b[K', '').length, 19);
    sign.stop();
  });
  it('takes a terminal of unknown size for one of 80 columns', () => {
    const screen = new Screen(true, 0);
    const sign = new ProgressSign(screen, {});
    sign.start('x'.repeat(200));
    mock.timers.tick(1000);
    assert.match(screen.written[0] ?? '', /^\rx{73} … /);
    sign.stop();
  });
  it('is one plain line on a dumb terminal', () => {
    const screen = new Screen(true);
    const sign = new ProgressSign(screen, { TERM: 'dumb' });
    sign.start('formatting');
    mock.timers.tick(5000);
    sign.stop();
    assert.deepEqual(screen.written, ['formatting …\n']);
  });
  it('is nothing in a pipe', () => {
    const screen = new Screen(false);
    const sign = new ProgressSign(screen, {});
    sign.start('formatting');
    mock.timers.tick(5000);
    sign.stop();
    assert.deepEqual(screen.written, []);
  });
});
