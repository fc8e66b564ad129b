import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { parseErrorBody } from '../../../functions/oci/error-body.ts';

const DIGEST = `sha256:${'1'.repeat(64)}`;
const OTHER = `sha256:${'2'.repeat(64)}`;

function body(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

describe('error body', () => {
  it('reads codes, messages and the digests that details name', () => {
    const errors = parseErrorBody(
      body({
        errors: [
          { code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown', detail: { digest: DIGEST } },
          { code: 'manifest_blob_unknown', message: `unknown ${OTHER}` },
          { code: 'UNKNOWN', message: 'blob unknown', detail: DIGEST },
        ],
      }),
    );
    assert.deepEqual(errors.codes, ['MANIFEST_BLOB_UNKNOWN', 'UNKNOWN']);
    assert.equal(errors.message, `blob unknown; unknown ${OTHER}`);
    assert.deepEqual(errors.digests, [DIGEST, OTHER]);
  });

  it('reads what a person can of a detail', () => {
    const [detail, description] = [
      'Repository does not allow updating assets: x',
      'HTTP 403 Forbidden',
    ];
    const errors = [
      { code: 'BLOB_UPLOAD_INVALID', message: 'blob upload invalid', detail },
      { code: 'MANIFEST_INVALID', message: 'manifest invalid', detail: { description } },
      { code: 'UNKNOWN', message: 'unknown', detail: null },
    ];
    assert.equal(
      parseErrorBody(body({ errors })).message,
      `blob upload invalid; ${detail}; manifest invalid; ${description}; unknown`,
    );
  });

  it('takes no longer text of hexadecimal digits for a digest', () => {
    const errors = parseErrorBody(body({ errors: [{ code: 'X', detail: `${DIGEST}0` }] }));
    assert.deepEqual(errors.digests, []);
  });

  it('guard control-characters: gives an error or a page of a proxy on as one plain line', () => {
    const page = parseErrorBody(body('<html>\n<h1>Too many\u0007 requests</h1></html>'));
    assert.deepEqual(page.codes, []);
    assert.equal(page.message, '<html> <h1>Too many  requests</h1></html>');
    const error = parseErrorBody(body({ errors: [{ code: 'X', message: 'a\u001b[31m\nb' }] }));
    assert.equal(error.message, 'a [31m b');
  });

  it('guard text-length: cuts an error or a page of a proxy at 512 characters', () => {
    const long = 'x'.repeat(600);
    for (const text of [long, { errors: [{ code: 'X', message: long }] }])
      assert.equal(parseErrorBody(body(text)).message.length, 512);
  });

  it('never throws and stays short', () => {
    const shapes = fc.oneof(
      fc.string(),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc.jsonValue().map((value) => JSON.stringify({ errors: value })),
      fc.array(fc.jsonValue()).map((value) => JSON.stringify({ errors: value })),
    );
    fc.assert(
      fc.property(shapes, (text) => {
        const errors = parseErrorBody(Buffer.from(text));
        assert.ok(errors.message.length <= 512);
        assert.ok(errors.codes.every((code) => /^[A-Z][A-Z0-9_]*$/.test(code)));
      }),
    );
  });
});
