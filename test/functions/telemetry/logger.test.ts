import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, ERRORS } from '../../../functions/errors.ts';
import { createLogger, type LoggerOptions } from '../../../functions/telemetry/logger.ts';

const TIME = '2026-11-03T10:00:00.000Z';

function lines(options: LoggerOptions = {}): { options: LoggerOptions; written: string[] } {
  const written: string[] = [];
  return {
    written,
    options: { ...options, write: (line) => written.push(line), now: () => new Date(TIME) },
  };
}

function parsed(written: readonly string[]): Record<string, unknown>[] {
  return written.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('logger', () => {
  it('writes one JSON object a line, message first, with the keys of Cloud Logging', () => {
    const { options, written } = lines();
    createLogger(options).child({ image: 'ghcr.io/org/app' }).info('mirrored', { tags: 3 });
    assert.deepEqual(written, [
      `{"message":"mirrored","severity":"INFO","time":"${TIME}","image":"ghcr.io/org/app","tags":3}\n`,
    ]);
  });

  for (const encoding of ['json', 'console'] as const) {
    it(`guard control-characters: lets nothing of them through as ${encoding}`, () => {
      const { options, written } = lines({ encoding });
      const logger = createLogger(options).child({ name: 'evil\u001b]0;x\u0007\u009b2J' });
      logger.error('seen\u202e of\nme', {
        namespace: 'a\u2066b',
        error: new MirrorError('NETWORK', 'x\u001b[31my'),
      });
      // eslint-disable-next-line no-control-regex -- these are looked for
      const acting = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u2066]/;
      assert.doesNotMatch(written.join(''), acting);
      assert.equal(written.join('').split('\n').length, 2);
    });
  }

  it('keeps quiet below its level', () => {
    const { options, written } = lines({ level: 'warning' });
    const logger = createLogger(options);
    logger.debug('a');
    logger.info('b');
    logger.notice('c');
    logger.warning('d');
    logger.error('e');
    assert.deepEqual(
      parsed(written).map(({ message }) => message),
      ['d', 'e'],
    );
  });

  it("adds the keys of Flux's controllers where asked to", () => {
    const { options, written } = lines({ fluxKeys: true });
    createLogger(options).warning('no scan yet');
    assert.deepEqual(parsed(written), [
      {
        message: 'no scan yet',
        severity: 'WARNING',
        time: TIME,
        level: 'info',
        ts: TIME,
        msg: 'no scan yet',
      },
    ]);
  });

  it('writes a fault as its parts, with advice and causes', () => {
    const { options, written } = lines({ service: { name: 'mirror', version: 'mirror-7' } });
    const cause = new Error('getaddrinfo ENOTFOUND ghcr.io');
    createLogger(options).warning('tag failed', {
      error: new MirrorError('NETWORK', 'get manifest: connection failed', {
        operation: 'get manifest',
        side: 'source',
        url: 'https://ghcr.io/v2/org/app/manifests/1.0',
        cause,
      }),
    });
    const [line] = parsed(written);
    assert.deepEqual(line?.['error'], {
      code: 'NETWORK',
      disposition: 'transient',
      message: 'get manifest: connection failed',
      advice: ERRORS.NETWORK.advice,
      operation: 'get manifest',
      side: 'source',
      url: 'https://ghcr.io/v2/org/app/manifests/1.0',
      causes: ['Error: getaddrinfo ENOTFOUND ghcr.io'],
    });
    assert.equal(line['stack_trace'], undefined);
    assert.equal(line['serviceContext'], undefined);
  });

  it('gives errors a stack trace and the service for Error Reporting', () => {
    const { options, written } = lines({ service: { name: 'mirror', version: 'mirror-7' } });
    createLogger(options).error('defect', { error: new TypeError('x is not a function') });
    const [line] = parsed(written);
    assert.match(String(line!['stack_trace']), /^TypeError: x is not a function\n\s+at /);
    assert.deepEqual(line!['serviceContext'], { service: 'mirror', version: 'mirror-7' });
    assert.equal((line!['error'] as { code: string }).code, 'INTERNAL');
  });

  it('lets no secret of an error out: headers, queries, user names, tokens, control characters', () => {
    const { options, written } = lines();
    const raw = Object.assign(
      new Error(
        'GET https://user:pw-secret@cdn.example/blob?X-Goog-Signature=sig-secret failed, Bearer tok-secret-1234',
      ),
      { options: { headers: { authorization: 'Bearer hdr-secret-1234' } } },
    );
    const logger = createLogger(options);
    logger.error('failed', { error: raw });
    logger.error('failed', { error: new MirrorError('NETWORK', 'gone\u001b[31m', { cause: raw }) });
    assert.equal(written.length, 2);
    assert.doesNotMatch(written.join(''), /secret|\\u001b/);
  });

  it('writes for a person in console encoding', () => {
    const { options, written } = lines({ encoding: 'console' });
    createLogger(options).info('mirrored', {
      tags: 3,
      nested: {},
      'logging.googleapis.com/x': 'y',
    });
    createLogger(options).warning('failed', { error: new MirrorError('TIMEOUT', 'no answer') });
    assert.deepEqual(written, [
      '10:00:00 INFO    mirrored  tags=3\n',
      '10:00:00 WARNING failed  TIMEOUT: no answer\n',
    ]);
  });
});
