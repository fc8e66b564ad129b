import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import {
  previewPlan,
  resolvePlan,
  type DecidedStep,
  type PlanContext,
} from '../../../functions/mirror/resolve-plan.ts';
import {
  listSource,
  takeDestination,
  unlistedSource,
} from '../../../functions/mirror/inventory.ts';
import { NEVER as never } from '../../faults.ts';
import { failing, type FakeDestination, type FakeSource } from './fakes.ts';
import { imageWith } from './images.ts';
import { Rig } from './rig.ts';

const one = imageWith('one', 1);
const two = imageWith('two', 1);

/** So many tags that both sides have. */
function manyUnchanged(count: number): Rig {
  const tags = Object.fromEntries(Array.from({ length: count }, (_none, tag) => [`v${tag}`, one]));
  return new Rig(tags, tags);
}

async function inquire(
  source: FakeSource,
  destination: FakeDestination,
  present: string[] = [],
): Promise<PlanContext> {
  const destinationInventory = await takeDestination(destination, undefined, never);
  return {
    source,
    destination,
    sourceInventory: (await listSource(source, never)) ?? unlistedSource([]),
    destinationInventory,
    policy: {
      verified: () => true,
      onDrift: 'overwrite',
      hasManifest: () => false,
    },
    onPresent: (digest) => present.push(digest),
    completesList: true,
    mayMoveUnseen: () => true,
    dryRun: false,
    signal: never,
  };
}

async function actions(
  source: FakeSource,
  destination: FakeDestination,
): Promise<readonly string[]> {
  const { steps } = await resolvePlan([...source.tags.keys()], await inquire(source, destination));
  return actionsOf(steps);
}

function actionsOf(steps: readonly DecidedStep[]): readonly string[] {
  return steps.map(({ tag, action }) => `${tag} ${action}`);
}

describe('resolvePlan', () => {
  it('asks the source for every verified tag, once', async () => {
    const { source, destination } = new Rig({ a: one, b: two }, { a: one, b: one });
    assert.deepEqual(await actions(source, destination), ['a skip', 'b overwrite']);
    assert.equal(source.count('source headManifest'), 2);
    assert.equal(destination.count('destination headManifest'), 0);
  });

  it('asks both sides where the destination tells no digests', async () => {
    const { source, destination } = new Rig({ a: one, b: two }, { a: one, b: one });
    destination.map = 'none';
    assert.deepEqual(await actions(source, destination), ['a skip', 'b overwrite']);
    assert.equal(source.count('source headManifest'), 2);
    assert.equal(destination.count('destination headManifest'), 2);
  });

  it('tells the digests that it found', async () => {
    const { source, destination } = new Rig({ a: one, b: two }, { a: one, b: one });
    destination.map = 'none';
    const present: string[] = [];
    await resolvePlan(['a', 'b'], await inquire(source, destination, present));
    assert.deepEqual(present, [one.manifest.digest, one.manifest.digest]);
  });

  it('completes a cut list by the list of tags where there is one', async () => {
    const { source, destination } = new Rig({ a: one, b: two, c: two }, { a: one, b: two });
    source.tellsDigests = true;
    destination.map = 1;
    destination.tagDigests = true;
    assert.deepEqual(await actions(source, destination), ['a skip', 'b skip', 'c retag']);
    assert.equal(destination.count('destination listTagDigests'), 1);
    assert.equal(destination.count('destination headManifest'), 0);
  });

  it('completes a cut list by HEADs where there is none', async () => {
    const { source, destination } = new Rig({ a: one, b: two, c: two }, { a: one, b: two });
    source.tellsDigests = true;
    destination.map = 1;
    assert.deepEqual(await actions(source, destination), ['a skip', 'b skip', 'c copy']);
    assert.equal(destination.count('destination headManifest'), 2);
  });

  it('loses a tag that is gone when it is verified', async () => {
    const { source, destination } = new Rig({ a: one }, { a: one });
    const inquiry = await inquire(source, destination);
    source.tags.delete('a');
    const { steps } = await resolvePlan(['a'], inquiry);
    assert.deepEqual(actionsOf(steps), ['a lost']);
  });

  it('copies a tag that proves to be gone at the destination', async () => {
    const { source, destination } = new Rig({ a: one }, { a: one });
    destination.map = 'none';
    const inquiry = await inquire(source, destination);
    destination.tags.delete('a');
    const { steps } = await resolvePlan(['a'], inquiry);
    assert.deepEqual(actionsOf(steps), ['a copy']);
  });

  it('fails the tag whose question failed, and no other', async () => {
    const { source, destination } = new Rig({ a: one, b: two }, { a: one, b: two });
    source.before.push(failing('source headManifest a', 'SERVER_ERROR'));
    assert.deepEqual(await actions(source, destination), ['a fail', 'b skip']);
  });

  it('asks many tags at once', async () => {
    const { source, destination } = manyUnchanged(40);
    await actions(source, destination);
    assert.equal(source.mostActive, 16);
  });

  it('asks nothing from the deadline on, and keeps one fault for all that is left', async () => {
    const { source, destination } = manyUnchanged(1000);
    const end = new AbortController();
    source.before.push((call) => {
      if (!call.startsWith('source headManifest')) return;
      if (call === 'source headManifest v100') {
        end.abort(new MirrorError('DEADLINE_EXCEEDED', 'the deadline has passed'));
      }
      // As the client does: each request tells the end in its own words.
      if (end.signal.aborted) throw new MirrorError('DEADLINE_EXCEEDED', call);
    });
    const inquiry = { ...(await inquire(source, destination)), signal: end.signal };
    const { steps, answered } = await resolvePlan([...source.tags.keys()], inquiry);
    const faults = new Set(steps.flatMap((step) => (step.action === 'fail' ? [step.fault] : [])));
    assert.deepEqual(
      [...faults].map(({ code, message }) => [code, message]),
      [['DEADLINE_EXCEEDED', 'the deadline has passed']],
    );
    assert.equal(answered, 100);
    assert.ok(source.count('source headManifest') <= 116);
  });
});

describe('a source that wants no request for an hour', () => {
  it('is asked no more, and keeps one fault for all that is left', async () => {
    const { source, destination } = manyUnchanged(2500);
    source.before.push((call) => {
      if (!call.startsWith('source headManifest')) return;
      // No status: the limiter refuses what would have to wait too long, unasked.
      throw new MirrorError('RATE_LIMITED', 'closed', { side: 'source', retryAfterMs: 3_600_000 });
    });
    const inquiry = await inquire(source, destination);
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    const { steps } = await resolvePlan([...source.tags.keys()], inquiry);
    clearImmediate(next);
    const faults = new Set(steps.flatMap((step) => (step.action === 'fail' ? [step.fault] : [])));
    assert.deepEqual([faults.size, [...faults][0]?.code], [1, 'RATE_LIMITED']);
    assert.ok(source.count('source headManifest') <= 16);
    assert.ok(turns >= 2, 'the event loop had its turn');
  });
});

describe('previewPlan', () => {
  it('tells copies from retags and losses', async () => {
    const { source, destination } = new Rig({ a: one, b: two, c: two, d: two }, { x: one });
    const inquiry = await inquire(source, destination);
    const { steps } = await resolvePlan(['a', 'b', 'c', 'd'], inquiry);
    source.tags.delete('c');
    source.before.push(failing('source headManifest d', 'NETWORK'));
    const seen = await previewPlan(steps, inquiry);
    assert.deepEqual(actionsOf(seen), ['a retag', 'b copy', 'c lost', 'd fail']);
  });
});
