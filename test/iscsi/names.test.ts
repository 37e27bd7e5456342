// iSCSI names, RFC 7143 §4.2.7.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkIscsiName, isIscsiName, NAME_LARGEST } from '../../src/iscsi/names.js';
import { AppError } from '../../src/util/errors.js';

const good = [
  'iqn.2022-08.com.test:dlp.target01',
  'iqn.2022-08.com.test:node01.initiator01',
  'iqn.1993-08.org.debian:01:abcdef012345',
  'iqn.2003-01.org.linux-iscsi.localhost.x8664:sn.4f2c1a',
  'iqn.2001-04.com.example',
  'iqn.2001-04.com.example:storage:diskarrays-sn-a8675309',
  'iqn.2001-04.com.example:with_underscore',
  'iqn.2000-01.com.synology:DiskStation.Target-1.0a1b2c3d4e',
  'eui.02004567A425678D',
  'naa.52004567BA64678D',
  'naa.62004567BA64678D0123456789ABCDEF',
  `iqn.2001-04.com.example:${'x'.repeat(NAME_LARGEST - 24)}`,
];
const bad: [name: string, why: RegExp][] = [
  ['', /begin with/],
  ['disk1', /begin with/],
  ['iqn', /begin with/],
  ['iqn.', /year and month/],
  ['iqn.2022.com.example', /year and month/],
  ['iqn.2022-13.com.example', /not allowed/],
  ['iqn.2022-00.com.example', /not allowed/],
  ['iqn.2022-08.', /not allowed|missing/],
  ['iqn.2022-08.com.example:', /missing/],
  ['IQN.2022-08.com.test:target', /begin with/],
  ['iqn.2022-08.com.test:a/b', /not allowed/],
  ['iqn.2022-08.com.test:../../etc', /not allowed/],
  ['iqn.2022-08.com.test:a b', /not allowed/],
  ['iqn.2022-08.com.test:a\nb', /not allowed/],
  ['iqn.2022-08.com.test:a\0', /not allowed/],
  ['iqn.2022-08.com.test:ü', /not allowed/],
  ['iqn.2022-08.com.test:x\n', /not allowed/],
  ['eui.02004567A425678', /missing/],
  ['eui.02004567A425678G', /not allowed/],
  ['naa.52004567BA64678D0', /not allowed|missing/],
  [`iqn.2001-04.com.example:${'x'.repeat(NAME_LARGEST - 23)}`, /longer than 223/],
];

describe('iSCSI names', () => {
  for (const name of good) it(`takes ${name.slice(0, 60)}`, () => assert.equal(checkIscsiName(name), name));
  for (const [name, why] of bad) {
    it(`refuses ${JSON.stringify(name.slice(0, 60))}`, () => {
      assert.equal(isIscsiName(name), false);
      assert.throws(
        () => checkIscsiName(name),
        (error) => error instanceof AppError && error.code === 'ERR_USAGE' && why.test(error.message),
      );
    });
  }

  it('never lets through what is unsafe in a path or on a terminal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (tail) => {
        const name = `iqn.2022-08.com.test:${tail}`;
        if (isIscsiName(name)) assert.match(name, /^[a-zA-Z0-9.:_-]{1,223}$/);
        else
          assert.throws(
            () => checkIscsiName(name),
            (error) => error instanceof AppError && !/\p{Cc}/u.test(error.message),
          );
      }),
    );
  });
});
