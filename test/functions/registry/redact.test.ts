import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { redactUrl } from '../../../functions/registry/redact.ts';

describe('redaction', () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      'https://ghcr.io/v2/org/app/tags/list?n=1000&last=v1',
      'https://ghcr.io/v2/org/app/tags/list?n=1000&last=v1',
    ],
    ['https://user:pass@ghcr.io/v2/', 'https://ghcr.io/v2/'],
    [
      'https://r/v2/a/blobs/uploads/?mount=sha256:00&from=b',
      'https://r/v2/a/blobs/uploads/?mount=sha256:00&from=b',
    ],
    ['not a url', '(no URL)'],
  ];
  for (const [url, expected] of cases) {
    it(`writes ${expected}`, () => {
      assert.equal(redactUrl(url), expected);
    });
  }

  it('guard redact-session: hides who may go on with an upload or a download', () => {
    const google = 'https://europe-docker.pkg.dev';
    const cases: readonly (readonly [string, string])[] = [
      ['https://r.example.com/v2/a/blobs/uploads/', '7f3c'],
      [`${google}/artifacts-uploads/namespaces/p/repositories/r/uploads/`, 'AF-opaque'],
      [`${google}/artifacts-downloads/namespaces/p/repositories/r/downloads/`, 'AB/CD'],
    ];
    for (const [path, session] of cases)
      assert.equal(redactUrl(`${path}${session}?digest=x`), `${path}REDACTED?digest=x`);
  });

  it('guard redact-query: hides what signs a URL', () => {
    assert.equal(
      redactUrl('https://cdn.example.com/blob?X-Amz-Signature=abc&digest=sha256:00&_state=def'),
      'https://cdn.example.com/blob?X-Amz-Signature=REDACTED&digest=sha256:00&_state=REDACTED',
    );
  });

  it('shows no value of an unknown parameter, no user and no control character', () => {
    const secret = fc.stringMatching(/^[a-z]{12,20}$/);
    fc.assert(
      fc.property(secret, fc.webUrl(), (hidden, base) => {
        const url = new URL(base);
        url.username = hidden;
        url.searchParams.set('token', hidden);
        url.hash = hidden;
        const shown = redactUrl(url);
        assert.ok(!shown.includes(hidden), shown);
        // eslint-disable-next-line no-control-regex -- none of them may be there
        assert.ok(!/[\u0000-\u001f]/.test(shown));
      }),
    );
  });
});
