import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Answer } from '../../../functions/registry/failure.ts';
import {
  isThrottled,
  pullsLeft,
  RESERVED_PULLS,
  type PullsLeft,
} from '../../../functions/registry/rate-limit.ts';

const HUB = 'index.docker.io';
const OTHER = 'registry.example.com';
const SIX_HOURS_MS = 21_600_000;

function left(remaining: string | undefined, host: string): PullsLeft | undefined {
  return pullsLeft((name) => (name === 'ratelimit-remaining' ? remaining : undefined), host);
}

function answer(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const url = new URL(`https://${OTHER}/v2/`);
  return { status, body: Buffer.from(body), header: (name) => headers[name], url };
}

describe('rate limit', () => {
  const cases: readonly (readonly [string | undefined, string, PullsLeft | undefined])[] = [
    ['76;w=21600', HUB, { count: 76, windowMs: SIX_HOURS_MS }],
    ['0;w=21600', OTHER, { count: 0, windowMs: SIX_HOURS_MS }],
    [' 12 ; w=3600 ', OTHER, { count: 12, windowMs: 3_600_000 }],
    ['100', HUB, { count: 100, windowMs: undefined }],
    ['100', 'registry-1.docker.io', { count: 100, windowMs: undefined }],
    ['3;w=1', HUB, { count: 3, windowMs: 1000 }],
    // A gateway's: four more in this second, or in a window that it does not name.
    ['4;w=1', OTHER, undefined],
    ['4;w=3599', OTHER, undefined],
    ['4', OTHER, undefined],
    ['4', 'docker.io.example.com', undefined],
    ['', HUB, undefined],
    ['many', HUB, undefined],
    ['-1;w=21600', HUB, undefined],
    [undefined, HUB, undefined],
  ];
  for (const [header, host, expected] of cases) {
    it(`reads '${header ?? ''}' of ${host} as ${expected?.count ?? 'nothing'}`, () => {
      assert.deepEqual(left(header, host), expected);
    });
  }

  it('reserves some pulls', () => {
    assert.equal(RESERVED_PULLS, 5);
  });

  it('knows a limit under every status that registries choose for it', () => {
    const code = '{"errors":[{"code":"TOOMANYREQUESTS"}]}';
    const secondary = '{"message":"You have exceeded a secondary rate limit. Please wait."}';
    assert.ok(isThrottled(answer(429, '')));
    assert.ok(isThrottled(answer(403, code)));
    assert.ok(isThrottled(answer(503, code)));
    assert.ok(isThrottled(answer(403, secondary)));
    assert.ok(
      isThrottled(answer(403, '{"errors":[{"code":"DENIED","message":"Too Many Requests"}]}')),
    );
    assert.ok(isThrottled(answer(403, '', { 'retry-after': '60' })));
    assert.ok(isThrottled(answer(403, '', { 'x-ratelimit-remaining': '0' })));
    assert.ok(!isThrottled(answer(403, '{"errors":[{"code":"DENIED","message":"no access"}]}')));
    for (const message of [
      'not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:1:repository/envoyproxy/ratelimit',
      'no access to registry.example.com/rate-limit, team-throttle or my.throttled',
      'adding 5 MiB of storage resource, which when updated to current usage will exceed the configured upper limit: Quota exceeded',
      'storage quota exceeded for project 12',
    ]) {
      const denied = JSON.stringify({ errors: [{ code: 'DENIED', message }] });
      assert.ok(!isThrottled(answer(403, denied)), message);
    }
    for (const message of [
      'API rate limit exceeded',
      'RateLimitExceeded',
      'request was throttled',
      'Request quota exceeded',
      "Quota exceeded for quota metric 'Requests per project'",
    ]) {
      assert.ok(isThrottled(answer(403, JSON.stringify({ message }))), message);
    }
    assert.ok(!isThrottled(answer(503, 'slow down', { 'retry-after': '60' })));
    assert.ok(!isThrottled(answer(401, secondary)));
    assert.ok(!isThrottled(answer(200, code)));
  });
});
