import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { boundBody, MAX_HEAD_BYTES, saysTooLarge } from '../../functions/push-body.ts';

const MAX_BODY_BYTES = 14_000_000;

describe('head of a push', () => {
  it('has room for twice 100 attributes of 1,280 bytes, and no more', () => {
    assert.ok(MAX_HEAD_BYTES >= 2 * 100 * 1280);
    assert.equal(MAX_HEAD_BYTES, 262_144);
  });
});

describe('body of a push', () => {
  it('says whether it is too large', () => {
    assert.equal(saysTooLarge({}), false);
    assert.equal(saysTooLarge({ 'content-length': String(MAX_BODY_BYTES) }), false);
    assert.equal(saysTooLarge({ 'content-length': String(MAX_BODY_BYTES + 1) }), true);
  });

  it('guard body-encoding: is shown without its encoding, so that nobody decompresses it', () => {
    const request = new IncomingMessage(new Socket());
    request.headers = { 'content-encoding': 'gzip', 'ce-id': '1' };
    boundBody(request);
    assert.deepEqual(request.headers, { 'ce-id': '1' });
  });

  it('guard body-size: is read up to the limit, and destroyed beyond', () => {
    const request = new IncomingMessage(new Socket());
    boundBody(request);
    request.on('error', () => undefined);
    request.push(Buffer.alloc(MAX_BODY_BYTES));
    assert.equal(request.destroyed, false);
    assert.equal(request.push(Buffer.alloc(1)), false);
    assert.equal(request.destroyed, true);
    const whole = new IncomingMessage(new Socket());
    boundBody(whole);
    for (const chunk of [Buffer.alloc(MAX_BODY_BYTES), null]) whole.push(chunk);
    assert.equal(whole.destroyed, false);
  });
});
