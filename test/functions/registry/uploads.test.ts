import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { digestOf } from '../../../functions/oci/digest.ts';
import { isApiAddress, withDigest } from '../../../functions/registry/uploads.ts';
import { thrown } from '../../faults.ts';

const DIGEST = digestOf(Buffer.from('x'));

describe('uploads', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['https://r/v2/a/blobs/uploads/1', `https://r/v2/a/blobs/uploads/1?digest=${DIGEST}`],
    ['https://r/u?_state=a%20b~c(d)', `https://r/u?_state=a%20b~c(d)&digest=${DIGEST}`],
    ['https://r/u?a=b+c&sig=%2F%3D#part', `https://r/u?a=b+c&sig=%2F%3D&digest=${DIGEST}`],
  ];
  for (const [location, expected] of cases) {
    it(`appends the digest to ${location}`, () => {
      assert.equal(withDigest(new URL(location), DIGEST).href, expected);
    });
  }

  it('leaves any session’s text as it is', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), (text) => {
        const location = new URL(text);
        assert.ok(withDigest(location, DIGEST).href.startsWith(location.href));
      }),
    );
  });

  it('appends nothing that is no digest', () => {
    thrown(() => withDigest(new URL('https://r/u'), 'sha256:x&evil=1'), 'DIGEST_INVALID');
  });

  it('tells the registry’s API from Artifact Registry’s upload service', () => {
    assert.ok(isApiAddress(new URL('https://r/v2/a/blobs/uploads/1')));
    assert.ok(
      !isApiAddress(new URL('https://r/artifacts-uploads/namespaces/p/repositories/r/uploads/1')),
    );
  });
});
