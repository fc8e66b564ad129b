import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import fc from 'fast-check';

import { decodeEvent, encodeEvent, receivedEvent } from '../../../functions/contract/codec.ts';
import { eventOf, type MirrorRequest } from '../../../functions/contract/event.ts';
import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { thrown } from '../../faults.ts';

const full: MirrorRequest = {
  imageRepository: { namespace: 'flux-system', name: 'podinfo', uid: '7d0cdc51-ddcf' },
  image: 'ghcr.io/stefanprodan/podinfo',
  revision: '2241533016',
  previousRevision: '3921220339',
  tagCount: 13,
  scanTime: '2026-08-10T09:05:02Z',
  exclusionList: [String.raw`^.*\.sig$`],
  reason: 'requested',
  selection: {
    include: ['^6'],
    exclude: ['rc'],
    semver: '>=6.1.0 <7',
    latest: 5,
    sortBy: 'semver',
  },
  tags: ['6.2.1', 'latest'],
  destination: 'team/podinfo',
  verify: 'all',
  provider: 'generic',
  insecure: true,
  continuation: 2,
};
const occasion = { clusterName: 'prod-eu', time: new Date('2026-08-10T09:05:03Z'), batchIndex: 1 };
const goldenFile = fileURLToPath(new URL('../../data/event.golden.json', import.meta.url));

/** The field that an event is refused for with this code, with these changes to it. */
function refusedField(
  code: ErrorCode,
  change: (data: Record<string, unknown>) => unknown,
  envelope = {},
): string | undefined {
  const event = eventOf(full, occasion);
  const data = JSON.parse(JSON.stringify(event.data)) as Record<string, unknown>;
  change(data);
  return thrown(() => decodeEvent({ ...event, data, ...envelope }), code).field;
}

/** A change that puts the patterns into each list that an event has, by the list's path. */
function listsOfPatterns(
  patterns: readonly string[],
): readonly (readonly [string, (data: Record<string, unknown>) => void])[] {
  return [
    ['data.exclusionList', (data) => (data['exclusionList'] = patterns)],
    ['data.selection.include', (data) => (data['selection'] = { include: patterns })],
    ['data.selection.exclude', (data) => (data['selection'] = { exclude: patterns })],
  ];
}

describe('the event on the wire', () => {
  it('has the bytes of the golden file', () => {
    const { tags: _tags, ...whole } = full;
    const shown = [eventOf(full, occasion), eventOf({ ...whole, reason: 'changed' }, occasion)]
      .map(encodeEvent)
      .map(({ attributes, data }) => ({ attributes, data: data.toString('utf8') }));
    const written = `${JSON.stringify(shown, null, 2)}\n`;
    if (process.env['UPDATE_GOLDEN'] === 'true') writeFileSync(goldenFile, written);
    assert.equal(written, readFileSync(goldenFile, 'utf8'));
  });

  it('comes back as it was, from bytes and from parsed data', () => {
    const event = eventOf(full, occasion);
    assert.deepEqual(decodeEvent(receivedEvent(encodeEvent(event))), event);
    assert.deepEqual(
      decodeEvent({ ...event, data: JSON.parse(JSON.stringify(full)) as unknown }),
      event,
    );
  });

  it('carries platforms, in their normal form whoever wrote them', () => {
    const event = eventOf({ ...full, platforms: ['linux/arm64/v8', 'linux/amd64'] }, occasion);
    const { platforms } = decodeEvent(receivedEvent(encodeEvent(event))).data;
    assert.deepEqual(platforms, ['linux/amd64', 'linux/arm64']);
  });

  it('ignores fields it does not know', () => {
    const event = eventOf(full, occasion);
    const data = { ...full, later: { than: 'now' } };
    assert.deepEqual(decodeEvent({ ...event, data }), event);
  });

  it('leaves tags out of a revision change', () => {
    const { tags: _tags, ...whole } = full;
    const event = eventOf(whole, occasion);
    assert.equal(decodeEvent({ ...event, data: { ...whole, tags: ['x'] } }).data.tags, undefined);
    assert.equal(decodeEvent(event).data.tags, undefined);
  });

  it('takes an absent subject from the image', () => {
    const event = eventOf(full, occasion);
    assert.equal(decodeEvent({ ...event, subject: undefined }).subject, full.image);
  });

  it('guard event-published: is refused over 256 KiB or 1,000 tags', () => {
    const many = Array.from({ length: 1001 }, (_, index) => `t${index}`);
    const long = Array.from({ length: 900 }, (_, index) => `${'x'.repeat(300)}${index}`);
    for (const tags of [many, long]) {
      thrown(() => encodeEvent(eventOf({ ...full, tags }, occasion)), 'EVENT_TOO_LARGE');
    }
    encodeEvent(eventOf({ ...full, tags: many.slice(1) }, occasion));
  });
});

describe('decodeEvent', () => {
  for (const [field, change] of [
    ['data.imageRepository', (data) => (data['imageRepository'] = 'x')],
    [
      'data.imageRepository.uid',
      (data) => (data['imageRepository'] = { namespace: 'a', name: 'b' }),
    ],
    ['data.image', (data) => (data['image'] = 7)],
    ['data.revision', (data) => delete data['revision']],
    ['data.tagCount', (data) => (data['tagCount'] = '12')],
    ['data.scanTime', (data) => (data['scanTime'] = 'yesterday')],
    ['data.exclusionList', (data) => (data['exclusionList'] = null)],
    ['data.exclusionList[0]', (data) => (data['exclusionList'] = [7])],
    ['data.exclusionList[1]', (data) => (data['exclusionList'] = ['^a$', '(?=x)'])],
    ['data.reason', (data) => (data['reason'] = 'because')],
    ['data.selection', (data) => (data['selection'] = [])],
    ['data.selection.include[0]', (data) => (data['selection'] = { include: ['['] })],
    ['data.selection.semver', (data) => (data['selection'] = { semver: 'newer' })],
    ['data.selection.latest', (data) => (data['selection'] = { latest: 0 })],
    ['data.selection.sortBy', (data) => (data['selection'] = { sortBy: 'age' })],
    ['data.platforms', (data) => (data['platforms'] = 'linux/amd64')],
    ['data.platforms', (data) => (data['platforms'] = [])],
    ['data.platforms', (data) => (data['platforms'] = ['linux'])],
    ['data.platforms[1]', (data) => (data['platforms'] = ['all', 7])],
    ['data.tags', (data) => (data['tags'] = 'latest')],
    ['data.tags', (data) => (data['tags'] = [])],
    ['data.tags', (data) => delete data['tags']],
    ['data.tags[1]', (data) => (data['tags'] = ['a', 1])],
    ['data.destination', (data) => (data['destination'] = {})],
    ['data.verify', (data) => (data['verify'] = 'some')],
    ['data.provider', (data) => (data['provider'] = 'ibm')],
    ['data.insecure', (data) => (data['insecure'] = 'yes')],
    ['data.continuation', (data) => (data['continuation'] = 51)],
    ['data.continuation', (data) => (data['continuation'] = -1)],
  ] as readonly [string, (data: Record<string, unknown>) => unknown][]) {
    it(`refuses a wrong ${field} by its path`, () => {
      assert.equal(refusedField('EVENT_INVALID', change), field);
    });
  }

  for (const [field, envelope] of [
    ['type', { type: 'com.example.other' }],
    ['source', { source: undefined }],
    ['time', { time: '10:00' }],
    ['subject', { subject: 5 }],
  ] as const) {
    it(`refuses a wrong attribute ${field}`, () => {
      assert.equal(
        refusedField('EVENT_INVALID', () => undefined, envelope),
        field,
      );
    });
  }

  for (const [field, least, most] of [
    ['id', 1, 256],
    ['source', 1, 1024],
    ['subject', 1, 1024],
    ['data.imageRepository.namespace', 1, 253],
    ['data.imageRepository.name', 1, 253],
    ['data.imageRepository.uid', 1, 128],
    ['data.image', 1, 512],
    ['data.revision', 0, 256],
    ['data.previousRevision', 0, 256],
    ['data.exclusionList[0]', 0, 512],
    ['data.tags[0]', 1, 512],
    ['data.destination', 1, 512],
  ] as const) {
    it(`takes a ${field} of ${least} to ${most} characters`, () => {
      const [last = '', ...path] = field.replace('[0]', '.0').split('.').reverse();
      const decoded = (size: number): unknown => {
        const event = JSON.parse(JSON.stringify(eventOf(full, occasion))) as object;
        const parent = path.reduceRight((at, name) => at[name as keyof typeof at], event);
        Object.assign(parent, { [last]: 'x'.repeat(size) });
        return decodeEvent(event);
      };
      for (const size of [least, most]) decoded(size);
      for (const size of least === 0 ? [most + 1] : [least - 1, most + 1])
        assert.equal(thrown(() => decoded(size), 'EVENT_INVALID').field, field);
    });
  }

  it('takes the least and the most of a count', () => {
    for (const counts of [
      { tagCount: 0, continuation: 0 },
      { tagCount: Number.MAX_SAFE_INTEGER, continuation: 50 },
    ]) {
      const { data } = decodeEvent(eventOf({ ...full, ...counts }, occasion));
      assert.deepEqual({ ...data, ...counts }, data);
    }
  });

  it('guard event-tags: refuses more than 1,000 tags as too large', () => {
    decodeEvent(eventOf({ ...full, tags: new Array<string>(1000).fill('a') }, occasion));
    const many = (data: Record<string, unknown>): unknown =>
      (data['tags'] = new Array<string>(1001).fill('a'));
    assert.equal(refusedField('EVENT_TOO_LARGE', many), 'data.tags');
  });

  it('guard pattern-count: takes 25 patterns in a list, and not one more', () => {
    const most = new Array<string>(25).fill('a');
    decodeEvent({ ...eventOf({ ...full, exclusionList: most }, occasion) });
    for (const [field, change] of listsOfPatterns([...most, 'b'])) {
      assert.equal(refusedField('EVENT_INVALID', change), field);
    }
  });

  it('guard pattern-length: takes patterns of 512 characters, and of not one more', () => {
    const longest = 'x'.repeat(512);
    decodeEvent(eventOf({ ...full, exclusionList: [longest] }, occasion));
    for (const [field, change] of listsOfPatterns([`${longest}x`])) {
      assert.equal(refusedField('EVENT_INVALID', change), `${field}[0]`);
    }
  });

  it('guard event-size: refuses a body over 1 MiB before reading it', () => {
    const text = (sizeBytes: number): Buffer =>
      Buffer.from(JSON.stringify(full).padEnd(sizeBytes, ' '));
    decodeEvent({ ...eventOf(full, occasion), data: text(1024 * 1024) });
    refusedField('EVENT_TOO_LARGE', () => undefined, { data: text(1024 * 1024 + 1) });
  });

  for (const [name, data] of [
    ['text that is no JSON', Buffer.from('{"image":')],
    ['a bare text', Buffer.from('"x"')],
    ['nothing', undefined],
    ['an array', []],
  ] as const) {
    it(`cannot decode ${name}`, () => {
      refusedField('EVENT_UNDECODABLE', () => undefined, { data });
    });
  }

  it('refuses whatever it does not take with a fault, never otherwise', () => {
    fc.assert(
      fc.property(fc.anything(), fc.object(), (data, fields) => {
        for (const received of [
          { ...eventOf(full, occasion), data },
          { ...eventOf(full, occasion), data: { ...full, ...fields } },
          fields,
        ]) {
          try {
            decodeEvent(received);
          } catch (error) {
            assert.ok(error instanceof MirrorError, String(error));
          }
        }
      }),
    );
  });
});
