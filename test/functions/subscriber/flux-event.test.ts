import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { REVISION_CHANGED, TAGS_REQUESTED } from '../../../functions/contract/event.ts';
import { decodeDelivery, readDelivery } from '../../../functions/subscriber/delivery.ts';
import { thrown } from '../../faults.ts';

// The shape that notification-controller publishes (Event API v1beta1).
const scan = {
  involvedObject: {
    kind: 'ImageRepository',
    namespace: 'flux-system',
    name: 'podinfo',
    uid: '7d0cdc51-ddcf-4743-b223-83ca5c699632',
    apiVersion: 'image.toolkit.fluxcd.io/v1',
    resourceVersion: '184460',
  },
  severity: 'info',
  timestamp: '2026-08-10T09:05:02Z',
  message: 'successful scan: found 13 tags with checksum 2241533016',
  reason: 'Succeeded',
  metadata: { cluster: 'prod-eu', image: 'ghcr.io/stefanprodan/podinfo' },
  reportingController: 'image-reflector-controller',
  reportingInstance: 'image-reflector-controller-d464d8954-kxpn8',
};
const policy = {
  ...scan,
  involvedObject: { ...scan.involvedObject, kind: 'ImagePolicy', uid: 'p-1' },
  message:
    'Latest image tag for stefanprodan/podinfo resolved to 6.2.1 with digest sha256:0b6a7a2b (previously stefanprodan/podinfo:6.2.0)',
  metadata: { cluster: 'prod-eu' },
};

function read(flux: unknown): ReturnType<typeof decodeDelivery> {
  const data = Buffer.from(JSON.stringify(flux)).toString('base64');
  return decodeDelivery(readDelivery({ message: { data, messageId: '1' } }), {
    acceptFluxEvents: true,
  });
}

/** The scan, with texts of these lengths in its fields. */
function withTexts(lengths: Readonly<Record<string, number>>): unknown {
  const texts = Object.entries(lengths).map(([name, length]) => ({
    name,
    text: 'x'.repeat(length),
  }));
  const of = (names: readonly string[]): Readonly<Record<string, string>> =>
    Object.fromEntries(
      texts.filter(({ name }) => names.includes(name)).map(({ name, text }) => [name, text]),
    );
  return {
    ...scan,
    ...of(['message']),
    involvedObject: { ...scan.involvedObject, ...of(['namespace', 'name', 'uid']) },
    metadata: { ...scan.metadata, ...of(['cluster', 'image']) },
  };
}

describe('event of Flux', () => {
  it('asks for the repository after a scan', () => {
    const event = read(scan);
    assert.equal(event?.type, REVISION_CHANGED);
    assert.equal(event.source, '//prod-eu/namespaces/flux-system/imagerepositories/podinfo');
    assert.equal(event.time, '2026-08-10T09:05:02.000Z');
    assert.deepEqual(event.data, {
      imageRepository: { namespace: 'flux-system', name: 'podinfo', uid: scan.involvedObject.uid },
      image: 'ghcr.io/stefanprodan/podinfo',
      revision: '2241533016',
      tagCount: 13,
      scanTime: '2026-08-10T09:05:02Z',
      exclusionList: [String.raw`^.*\.sig$`],
      reason: 'changed',
    });
  });

  it('asks for one tag after an ImagePolicy, its image made canonical', () => {
    const event = read(policy);
    assert.equal(event?.type, TAGS_REQUESTED);
    assert.equal(event.data.image, 'index.docker.io/stefanprodan/podinfo');
    assert.deepEqual(event.data.tags, ['6.2.1']);
    const source = read({ ...policy, metadata: undefined })?.source;
    assert.equal(source, '//flux/namespaces/flux-system/imagerepositories/podinfo');
  });

  for (const [name, message, tag] of [
    ['bare', 'Latest image tag for ghcr.io/org/app resolved to v1.2.3', 'v1.2.3'],
    ['quoted', "Latest image tag for 'ghcr.io/org/app' resolved to 1.0", '1.0'],
    [
      'with what was before',
      'Latest image tag for ghcr.io/org/app resolved to 2 (previously ghcr.io/org/app:1)',
      '2',
    ],
  ] as const) {
    it(`reads the policy message ${name}`, () => {
      const event = read({ ...policy, message });
      assert.equal(event?.data.image, 'ghcr.io/org/app');
      assert.deepEqual(event.data.tags, [tag]);
    });
  }

  for (const [name, change] of [
    ['a failed scan', { severity: 'error', reason: 'ReadOperationFailed', message: 'scan failed' }],
    ['a failure alone', { severity: 'error' }],
    ['another reason', { reason: 'Progressing' }],
    ['another message', { message: 'no new tags found' }],
    ['another controller', { reportingController: 'kustomize-controller' }],
    ['another kind', { involvedObject: { ...scan.involvedObject, kind: 'GitRepository' } }],
  ] as const) {
    it(`asks for nothing: ${name}`, () => {
      assert.equal(read({ ...scan, ...change }), undefined);
    });
  }

  for (const [name, flux, field] of [
    ['a scan without an image', { ...scan, metadata: { cluster: 'x' } }, 'metadata.image'],
    ['a malformed image', { ...scan, metadata: { image: 'A B' } }, 'metadata.image'],
    ['no object', { ...scan, involvedObject: 7 }, 'involvedObject'],
    ['a malformed time', { ...scan, timestamp: 'yesterday' }, 'timestamp'],
    ['a namespace too long', withTexts({ namespace: 254 }), 'involvedObject.namespace'],
    ['a name too long', withTexts({ name: 254 }), 'involvedObject.name'],
    ['a uid too long', withTexts({ uid: 129 }), 'involvedObject.uid'],
    ['a cluster too long', withTexts({ cluster: 254 }), 'metadata.cluster'],
    ['an image too long', withTexts({ image: 513 }), 'metadata.image'],
    ['a message too long', withTexts({ message: 39_001 }), 'message'],
  ] as const) {
    it(`refuses ${name}`, () => {
      assert.equal(thrown(() => read(flux), 'EVENT_INVALID').field, field);
    });
  }

  it('takes texts as long as they may be', () => {
    const event = read(withTexts({ namespace: 253, name: 253, uid: 128, cluster: 253 }));
    const { namespace = '', name = '', uid = '' } = event?.data.imageRepository ?? {};
    assert.deepEqual([namespace.length, name.length, uid.length], [253, 253, 128]);
    assert.equal(event?.source.split('/')[2]?.length, 253);
    assert.equal(read(withTexts({ message: 39_000 })), undefined);
    const short = read(withTexts({ namespace: 1, name: 1, uid: 1, cluster: 1 }));
    assert.equal(short?.source, '//x/namespaces/x/imagerepositories/x');
    assert.equal(read(withTexts({ message: 0 })), undefined);
    assert.equal(read({ ...scan, message: 'successful scan: found 0 tags' })?.data.tagCount, 0);
  });

  it('makes up the uid that an object may lack', () => {
    const object = { ...scan.involvedObject, name: 'x'.repeat(253), uid: undefined };
    const { uid } = read({ ...scan, involvedObject: object })?.data.imageRepository ?? {};
    assert.equal(uid, `ImageRepository/flux-system/${'x'.repeat(100)}`);
  });

  it('is refused unless accepted', () => {
    const data = Buffer.from(JSON.stringify(scan)).toString('base64');
    assert.equal(
      thrown(
        () => decodeDelivery(readDelivery({ message: { data } }), { acceptFluxEvents: false }),
        'EVENT_INVALID',
      ).field,
      'type',
    );
  });
});
