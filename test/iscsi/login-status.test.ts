// Login status, RFC 7143 §11.13.5.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LoginStatus, loginStatusHex, loginStatusOf, loginStatusText } from '../../src/iscsi/login-status.js';

describe('login status', () => {
  it('has words of its own for every one', () => {
    const texts = Object.values(LoginStatus).map(loginStatusText);
    assert.equal(new Set(texts).size, texts.length);
  });
  it('tells an unknown detail by its class', () => {
    assert.equal(loginStatusText(0x02ff), loginStatusText(LoginStatus.InitiatorError));
    assert.equal(loginStatusText(0x03ff), loginStatusText(LoginStatus.TargetError));
    assert.equal(loginStatusText(0x01ff), loginStatusText(LoginStatus.TargetMovedTemporarily));
    assert.match(loginStatusText(0x0400), /does not know/);
  });
  it('is one number', () => {
    assert.equal(loginStatusOf({ statusClass: 2, statusDetail: 1 }), LoginStatus.AuthenticationFailure);
    assert.equal(loginStatusHex(LoginStatus.AuthenticationFailure), '0x0201');
    assert.equal(loginStatusHex(0), '0x0000');
  });
});
