import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, ERRORS } from '../../../functions/errors.ts';
import { faultFields, stackTrace } from '../../../functions/telemetry/error-fields.ts';

describe('fault fields', () => {
  it('has all that a fault says, and nothing that it does not', () => {
    assert.deepEqual(faultFields(new MirrorError('TIMEOUT', 'no answer')), {
      code: 'TIMEOUT',
      disposition: 'transient',
      message: 'no answer',
      advice: ERRORS.TIMEOUT.advice,
    });
    const full = faultFields(
      new MirrorError('MANIFEST_REFUSED', 'refused', {
        operation: 'put manifest',
        side: 'destination',
        url: 'https://r.example/v2/x/manifests/1?token=abc',
        status: 400,
        registryCodes: ['MANIFEST_INVALID'],
        field: 'data.tags[0]',
        cause: new MirrorError('NETWORK', 'below', { cause: 'a text' }),
      }),
    );
    assert.equal(full.url, 'https://r.example/v2/x/manifests/1?…');
    assert.equal(full.status, 400);
    assert.deepEqual(full.registryCodes, ['MANIFEST_INVALID']);
    assert.deepEqual(full.causes, ['NETWORK: below', 'a text']);
  });

  it('follows causes no deeper than five, even in a circle', () => {
    const circle = new Error('round');
    circle.cause = circle;
    assert.equal(faultFields(circle).causes?.length, 5);
  });

  for (const [name, thrown] of [
    ['a text', 'boom'],
    ['nothing', undefined],
    ['an object', { secret: 'x' }],
  ] as const) {
    it(`takes ${name} for a defect without showing what is in it`, () => {
      const fields = faultFields(thrown);
      assert.equal(fields.code, 'INTERNAL');
      assert.doesNotMatch(JSON.stringify(fields), /secret/);
      assert.equal(stackTrace(thrown), undefined);
    });
  }

  it("tells a system's error by its code, where that is a text", () => {
    const messages = ['ECONNRESET', 5].map(
      (code) => faultFields(Object.assign(new Error('gone'), { code })).message,
    );
    assert.deepEqual(messages, ['Error ECONNRESET: gone', 'Error: gone']);
  });

  const secrets: readonly (readonly [guard: string, text: string, shown: string])[] = [
    ['log-user', 'GET https://user:hidden@r.example/x failed', 'GET https://r.example/x failed'],
    ['log-query', 'GET https://r.example/x?sig=hidden failed', 'GET https://r.example/x?… failed'],
    ['log-token', 'sent Bearer hidden-token and Basic aGlkZGVuOng=', 'sent Bearer … and Basic …'],
  ];
  for (const [guard, text, shown] of secrets) {
    it(`guard ${guard}: shows no secret of a message, a cause, a field or a stack`, () => {
      const fault = new MirrorError('NETWORK', text, { field: text, cause: new Error(text) });
      const { message, field, causes } = faultFields(fault);
      assert.deepEqual([message, field, causes], [shown, shown, [`Error: ${shown}`]]);
      assert.ok(stackTrace(fault)?.startsWith(`MirrorError: ${shown}\n`));
    });
  }

  it('keeps the frames of a stack and cleans its first line', () => {
    const error = new Error('GET https://u:p@r.example/x?sig=1\nsecond line');
    const stack = stackTrace(error) ?? '';
    assert.match(stack, /^Error: GET https:\/\/r\.example\/x\?… second line\n\s+at /);
  });
});
