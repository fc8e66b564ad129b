import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { VERIFY, type Verify } from '../../../functions/contract/event.ts';
import type { MirrorOptions } from '../../../functions/mirror/options.ts';
import type { Outcome } from '../../../functions/mirror/outcome.ts';
import { failing } from './fakes.ts';
import { imageWith } from './images.ts';
import { recordOf, Rig } from './rig.ts';

const [old, fresh] = [imageWith('old', 1), imageWith('fresh', 1)];

/** A state of both sides before an event about the tag `latest` (mutable) or `v1.2.3` (not). */
interface Scenario {
  readonly name: string;
  readonly tag?: string;
  readonly options?: Partial<MirrorOptions>;
  readonly prepare: (rig: Rig, tag: string) => void;
  readonly expect: Readonly<Record<Verify, Outcome>>;
}

function always(outcome: Outcome): Readonly<Record<Verify, Outcome>> {
  return { mutable: outcome, all: outcome, none: outcome };
}

/** Both sides have the tag, with different digests. */
function moved(rig: Rig, tag: string): void {
  rig.source.tag(tag, fresh);
  rig.destination.tag(tag, old);
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'missing',
    prepare: ({ source }, tag) => source.tag(tag, fresh),
    expect: always('copied'),
  },
  {
    name: 'missing, its digest there',
    prepare: ({ source, destination }, tag) => {
      source.tag(tag, fresh);
      destination.tag('other', fresh);
    },
    expect: always('retagged'),
  },
  {
    name: 'identical',
    prepare: ({ source, destination }, tag) => {
      source.tag(tag, fresh);
      destination.tag(tag, fresh);
    },
    expect: always('skipped'),
  },
  {
    name: 'moved',
    prepare: moved,
    expect: { mutable: 'overwritten', all: 'overwritten', none: 'skipped' },
  },
  {
    name: 'moved though it does not look mutable',
    tag: 'v1.2.3',
    prepare: moved,
    expect: { mutable: 'skipped', all: 'overwritten', none: 'skipped' },
  },
  {
    name: 'moved, both sides telling their digests',
    tag: 'v1.2.3',
    prepare: (rig, tag) => {
      moved(rig, tag);
      rig.source.tellsDigests = true;
    },
    expect: always('overwritten'),
  },
  {
    name: 'moved at a destination without a map',
    prepare: (rig, tag) => {
      moved(rig, tag);
      rig.destination.plain();
    },
    expect: { mutable: 'overwritten', all: 'overwritten', none: 'skipped' },
  },
  {
    name: 'moved, drift only reported',
    options: { onDrift: 'report' },
    prepare: moved,
    expect: { mutable: 'drifted', all: 'drifted', none: 'skipped' },
  },
  {
    name: 'moved at an immutable destination',
    prepare: (rig, tag) => {
      moved(rig, tag);
      rig.destination.immutable = true;
    },
    expect: { mutable: 'drifted', all: 'drifted', none: 'skipped' },
  },
  {
    name: 'gone after the list',
    prepare: ({ source }, tag) => {
      source.tag(tag, fresh);
      source.before.push((call) => {
        if (call !== 'source listTags') source.tags.delete(tag);
      });
    },
    expect: always('lost'),
  },
  {
    name: 'gone after the list, and there from before',
    prepare: (rig, tag) => {
      moved(rig, tag);
      rig.source.before.push((call) => {
        if (call !== 'source listTags') rig.source.tags.delete(tag);
      });
    },
    expect: { mutable: 'lost', all: 'lost', none: 'skipped' },
  },
  {
    name: 'missing among too many',
    options: { maxMissingTags: 1 },
    prepare: ({ source }, tag) => source.tag(tag, fresh).tag('v9.0.0', old),
    expect: always('held'),
  },
  {
    name: 'missing, the source failing',
    prepare: ({ source }, tag) => {
      source.tag(tag, fresh);
      source.before.push(failing('source getManifest', 'SERVER_ERROR'));
    },
    expect: always('failed'),
  },
  {
    name: 'there, the question about it failing',
    prepare: (rig, tag) => {
      moved(rig, tag);
      rig.source.before.push(failing('source headManifest', 'SERVER_ERROR'));
    },
    expect: { mutable: 'failed', all: 'failed', none: 'skipped' },
  },
];

/** What a dry run says instead. */
const DRY: Partial<Record<Outcome, Outcome>> = {
  copied: 'would-copy',
  retagged: 'would-retag',
  overwritten: 'would-overwrite',
  held: 'would-hold',
};

describe('outcome of a tag', () => {
  for (const { name, tag = 'latest', options = {}, prepare, expect } of SCENARIOS) {
    for (const verifyTags of VERIFY) {
      const outcome = expect[verifyTags];
      it(`${name}, VERIFY_TAGS=${verifyTags}: ${outcome}`, async () => {
        const rig = new Rig();
        prepare(rig, tag);
        const all = { mutableTags: '^latest$', ...options, verifyTags };
        assert.equal(recordOf(await rig.mirror({}, { options: all }), tag).outcome, outcome);
      });

      const dry = DRY[outcome];
      if (dry === undefined) continue;
      it(`${name}, VERIFY_TAGS=${verifyTags}, in a dry run: ${dry}`, async () => {
        const rig = new Rig();
        prepare(rig, tag);
        const before = new Map(rig.destination.tags);
        const all = { mutableTags: '^latest$', ...options, verifyTags, dryRun: true };
        assert.equal(recordOf(await rig.mirror({}, { options: all }), tag).outcome, dry);
        assert.deepEqual(rig.destination.tags, before);
      });
    }
  }
});
