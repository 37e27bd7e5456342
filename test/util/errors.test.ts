// The error classes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError, ERROR_CODES, messageOf, ProtocolError } from '../../src/util/errors.js';

describe('errors', () => {
  it('carry code, hint, cause and whether to try again', () => {
    const cause = new Error('deep');
    const error = new AppError('ERR_BUSY', 'disk is mounted', { cause, hint: 'unmount it', retriable: true });
    assert.deepEqual(
      [error.name, error.code, error.message, error.hint, error.retriable, error.cause],
      ['AppError', 'ERR_BUSY', 'disk is mounted', 'unmount it', true, cause],
    );
    const plain = new AppError('ERR_BUSY', 'x');
    assert.deepEqual([plain.hint, plain.retriable, 'cause' in plain], [undefined, false, false]);
  });
  it('of the protocol name the rule', () => {
    const error = new ProtocolError('RFC 7143 §11.8.4', 'R2T asks for zero bytes');
    assert.ok(error instanceof AppError);
    assert.deepEqual(
      [error.name, error.code, error.message, error.clause],
      ['ProtocolError', 'ERR_PROTOCOL', 'R2T asks for zero bytes (RFC 7143 §11.8.4)', 'RFC 7143 §11.8.4'],
    );
  });
  it('have codes of their own', () => {
    assert.equal(new Set(ERROR_CODES).size, ERROR_CODES.length);
  });
  it('have a message whatever was thrown', () => {
    assert.equal(messageOf(new Error('x')), 'x');
    assert.equal(messageOf('y'), 'y');
  });
});
