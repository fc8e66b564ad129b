import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { buildManifest } from '../stand-ins/images/image.ts';
import { verifyRepository } from '../stand-ins/verifier/verifier.ts';
import { tagsOf } from '../functions/registries.ts';
import { deployed, PROJECT } from './subscriber-rig.ts';

describe('delivery', () => {
  deployed(
    'mirrors duplicates and reordered events once, with nothing missing',
    { duplicateShare: 0.5 },
    async (deployment) => {
      const { registries, publish, event, settled, requireMirrored } = deployment;
      for (const repository of ['org/a', 'org/b', 'org/c']) {
        for (let n = 0; n < 4; n++) await registries.push(repository, `1.0.${n}`);
      }
      const published = ['org/a', 'org/b', 'org/c'].flatMap((repository) =>
        [3, 1, 2].map((minute) =>
          event(
            repository,
            { revision: String(minute) },
            new Date(Date.UTC(2026, 7, 1, 0, minute)),
          ),
        ),
      );
      for (const one of published) await publish(one);
      await settled();
      for (const repository of ['org/a', 'org/b', 'org/c']) await requireMirrored(repository);
      const copied = deployment.lines.filter(({ outcome }) => outcome === 'copied');
      assert.equal(copied.length, 12);
      assert.equal(registries.destination.counter.count({ method: 'PUT', kind: 'manifest' }), 12);
      assert.deepEqual(deployment.deadLetters(), []);
    },
  );

  deployed('acknowledges a permanently bad tag among good ones', {}, async (deployment) => {
    const { registries, publish, event, settled } = deployment;
    for (const tag of ['1.0', '1.1', '1.2']) await registries.push('org/app', tag);
    const huge = buildManifest('application/vnd.oci.image.index.v1+json', {
      manifests: [],
      annotations: { padding: 'x'.repeat(4 * 1024 * 1024) },
    });
    registries.source.store.putManifest('org/app', huge, 'huge');
    await publish(event('org/app'));
    await settled();
    const there = tagsOf(registries.destination, 'm/org/app');
    const { huge: _huge, ...good } = tagsOf(registries.source, 'org/app');
    assert.deepEqual(there, good);
    const { url } = registries.destination;
    const { problems } = await verifyRepository({ url, repository: 'm/org/app' });
    assert.deepEqual(problems, []);
    const [line, ...more] = deployment.eventLines();
    assert.deepEqual(more, []);
    assert.equal(line?.['decisionReason'], 'PermanentFailures');
    assert.equal(line['failed'], 1);
    assert.equal(line['copied'], 3);
    const tag = deployment.lines.find(({ outcome }) => outcome === 'failed');
    assert.equal(tag?.['tag'], 'huge');
    assert.equal(tag['code'], 'MANIFEST_TOO_LARGE');
    assert.equal(tag['entry'], 'tag');
    // Acknowledged for good: nothing waits for another attempt.
    assert.deepEqual(Object.fromEntries(deployment.events.answers), { 204: 1 });
    assert.deepEqual(deployment.deadLetters(), []);
  });

  deployed('redelivers what failed transiently, until it succeeds', {}, async (deployment) => {
    const { registries, mirror } = deployment;
    for (const tag of ['1.0', '1.1']) await registries.push('org/app', tag);
    registries.source.faults.add({
      path: /manifests\/1\.1/,
      times: 8,
      effect: { kind: 'answer', status: 503 },
    });
    await mirror('org/app');
    assert.ok(deployment.eventLines({ decision: 'retry' }).length > 0);
    assert.equal(deployment.eventLines({ decision: 'acknowledge' }).length, 1);
    // What had succeeded is not copied again.
    const { counter } = registries.destination;
    assert.equal(counter.count({ method: 'PUT', kind: 'manifest' }), 2);
    assert.deepEqual(deployment.deadLetters(), []);
  });

  deployed(
    'mirrors again what was deleted at the destination, by a replay',
    {},
    async (deployment) => {
      const { registries, requireMirrored, admin, mirror } = deployment;
      const before = new Date();
      for (const tag of ['1.0', '1.1']) await registries.push('org/app', tag);
      await mirror('org/app');
      assert.equal(registries.destination.store.deleteTag('m/org/app', '1.0'), true);
      await admin.subscription('events').seek(before);
      await deployment.pubsub.view.until(
        (view) =>
          (view.subscription(`projects/${PROJECT}/subscriptions/events`)?.acknowledged ?? 0) === 2,
      );
      await requireMirrored('org/app');
      // What was still there is left alone.
      const { counter } = registries.destination;
      assert.equal(counter.count({ method: 'PUT', kind: 'manifest' }), 3);
      assert.deepEqual(deployment.deadLetters(), []);
    },
  );

  deployed(
    'acknowledges a source that is not there',
    {},
    async ({ publish, event, settled, eventLines, deadLetters }) => {
      await publish(event('org/absent'));
      await settled();
      assert.equal(eventLines({ decisionReason: 'SourceLost' }).length, 1);
      assert.deepEqual(deadLetters(), []);
    },
  );
});

describe('message that can never succeed', () => {
  deployed(
    'ends in the dead-letter topic with code, field and all its attributes',
    { env: { ALLOWED_SOURCES: '127.0.0.1:1/*' } },
    async (deployment) => {
      const { publish, event, settled, deadLetters } = deployment;
      const good = event('org/app');
      const attributes = {
        'ce-specversion': '1.0',
        'ce-id': 'x',
        'ce-type': good.type,
        'ce-source': good.source,
        'ce-time': good.time,
        'Content-Type': 'application/json',
      };
      await publish(good);
      await publish({ attributes, data: Buffer.from('{"image":') });
      await publish({ attributes, data: Buffer.from('[]') });
      await publish({ attributes: { team: 'a' }, data: Buffer.from('hello') });
      await publish({
        attributes: { ...attributes, 'Content-Type': 'text/plain' },
        data: Buffer.from('x'),
      });
      await publish({ attributes: { ...attributes, 'ce-type': 'other' }, data: Buffer.from('{}') });
      await publish({ attributes: { 'ce-id': 'only' }, data: Buffer.alloc(0) });
      await settled();
      const letters = deadLetters().map(({ attributes: own }) => ({ ...own }));
      assert.deepEqual(
        letters.map((own) => `${own['error-code'] ?? ''} ${own['error-field'] ?? ''}`).sort(),
        [
          'EVENT_INVALID type',
          'EVENT_INVALID type',
          'EVENT_UNDECODABLE data',
          'EVENT_UNDECODABLE data',
          'EVENT_UNDECODABLE data',
          'EVENT_UNDECODABLE data',
          'SOURCE_FORBIDDEN data.image',
        ].sort(),
      );
      const forbidden = deadLetters().find(
        (letter) => letter.attributes['error-code'] === 'SOURCE_FORBIDDEN',
      );
      const own = encodeEvent(good);
      assert.deepEqual(
        { ...forbidden?.attributes },
        { ...own.attributes, 'error-code': 'SOURCE_FORBIDDEN', 'error-field': 'data.image' },
      );
      assert.deepEqual(Buffer.from(forbidden?.data ?? ''), own.data);
      assert.equal(deployment.eventLines({ decision: 'dead-letter' }).length, 7);
    },
  );

  deployed(
    'is redelivered where there is no dead-letter topic, until Pub/Sub gives up',
    { env: { DEAD_LETTER_TOPIC: '' }, maxDeliveryAttempts: 5 },
    async ({ publish, settled, deadLetters, eventLines }) => {
      await publish({
        attributes: { 'Content-Type': 'application/json' },
        data: Buffer.from('{}'),
      });
      await settled();
      assert.equal(deadLetters().length, 1);
      assert.equal(eventLines({ decisionReason: 'NoDeadLetterTopic' }).length, 5);
    },
  );
});
