import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readPushConfig, toWirePushConfig } from '../../stand-ins/pubsub/push-config.ts';
import type { WirePushConfig } from '../../stand-ins/pubsub/wire.ts';

const endpoint = 'https://example.com/push?a=b';

function wire(config: Partial<WirePushConfig> = {}): WirePushConfig {
  return { pushEndpoint: endpoint, attributes: {}, ...config };
}

describe('push configuration', () => {
  it('is absent without an endpoint', () => {
    assert.equal(readPushConfig(null), undefined);
    assert.equal(readPushConfig(wire({ pushEndpoint: '' })), undefined);
    assert.equal(toWirePushConfig(undefined).pushEndpoint, '');
  });

  const formats = [
    [{}, 'wrapped'],
    [{ pubsubWrapper: {} }, 'wrapped'],
    [{ noWrapper: { writeMetadata: false } }, 'unwrapped'],
    [{ noWrapper: { writeMetadata: true } }, 'unwrapped-with-metadata'],
  ] as const;
  for (const [config, format] of formats) {
    it(`is ${format} by ${JSON.stringify(config)}`, () => {
      const read = readPushConfig(wire(config));
      assert.equal(read?.format, format);
      assert.deepEqual(readPushConfig(toWirePushConfig(read)), read);
    });
  }

  it('takes the endpoint as audience where none is given', () => {
    const oidcToken = { serviceAccountEmail: 'push@p.iam.gserviceaccount.com', audience: '' };
    const read = readPushConfig(wire({ oidcToken }));
    assert.deepEqual(read?.oidc, { email: oidcToken.serviceAccountEmail, audience: endpoint });
    assert.deepEqual(toWirePushConfig(read).oidcToken, oidcToken);
  });

  it('keeps an audience that is given', () => {
    const oidcToken = { serviceAccountEmail: 'a@b.c', audience: 'https://audience' };
    const read = readPushConfig(wire({ oidcToken }));
    assert.equal(read?.oidc?.audience, 'https://audience');
    assert.deepEqual(toWirePushConfig(read).oidcToken, oidcToken);
  });

  const refused: readonly (readonly [string, WirePushConfig])[] = [
    ['an endpoint that is no URL', wire({ pushEndpoint: 'nonsense' })],
    ['an endpoint of another scheme', wire({ pushEndpoint: 'ftp://example.com/' })],
    [
      'an identity that is no e-mail address',
      wire({ oidcToken: { serviceAccountEmail: 'me', audience: '' } }),
    ],
    ['another version of the format', wire({ attributes: { 'x-goog-version': 'v1beta1' } })],
    [
      'a format without an endpoint',
      wire({ pushEndpoint: '', noWrapper: { writeMetadata: true } }),
    ],
    [
      'an identity without an endpoint',
      wire({ pushEndpoint: '', oidcToken: { serviceAccountEmail: 'a@b.c', audience: '' } }),
    ],
  ];
  for (const [what, config] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readPushConfig(config), { name: 'Refusal', status: 'INVALID_ARGUMENT' });
    });
  }
});
