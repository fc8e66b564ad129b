import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { isJsonObject, type KubeObject } from './object.ts';
import type { RecordedEvent, Scenario } from './recording.ts';

/** What a recording is played into. */
export interface ReplayTarget {
  put(object: KubeObject): KubeObject;
  remove(namespace: string, name: string): void;
  /** Waits until the watchers have nearly caught up. */
  drained(): Promise<void>;
}

/** How a recording is played. */
export interface ReplayOptions {
  /** Objects that all go through the recording, each under a name and an image of its own; default 1. */
  readonly objects?: number;
  /** Changes per second over all objects; default 0: as fast as it goes. */
  readonly changesPerSecond?: number;
  /** Decides the order in which the objects advance; the same seed, the same order. Default 1. */
  readonly seed?: number;
  /** Told of every change after it was made. */
  readonly onChange?: (change: ReplayedChange) => void;
  readonly signal?: AbortSignal;
}

/** A change that was played. */
export interface ReplayedChange {
  readonly scenario: string;
  readonly namespace: string;
  readonly name: string;
  readonly type: RecordedEvent['type'];
}

/** An event with the scenario it belongs to. */
interface Step {
  readonly scenario: string;
  readonly event: RecordedEvent;
}

/**
 * Plays a recording of one object into a server, as many objects at once: each makes every recorded
 * change in the recorded order, while the objects' changes are interleaved at random. Only
 * resourceVersions are new. Gives the number of changes made.
 */
export async function replay(
  target: ReplayTarget,
  scenarios: readonly Scenario[],
  options: ReplayOptions = {},
): Promise<number> {
  const { objects = 1, changesPerSecond = 0, seed = 1, onChange, signal } = options;
  const steps = scenarios.flatMap(({ name, events }) =>
    events.map((event): Step => ({ scenario: name, event })),
  );
  const random = randomOf(seed);
  const started = performance.now();
  // Places in the recording of the objects that are not through with it.
  const running = Array.from({ length: objects }, (_, index) => ({ index, next: 0 }));
  let changes = 0;
  while (running.length > 0 && signal?.aborted !== true) {
    const turn = Math.floor(random() * running.length);
    const player = running[turn];
    const step = player === undefined ? undefined : steps[player.next];
    if (player === undefined || step === undefined) {
      // Order does not matter: the last takes the place of the one that is through.
      const last = running.pop();
      if (last !== undefined && turn < running.length) running[turn] = last;
      continue;
    }
    player.next += 1;
    changes += 1;
    const change = play(target, step, objects === 1 ? undefined : player.index);
    onChange?.(change);
    await pace(target, started, changes, changesPerSecond);
  }
  return changes;
}

/** Every so many changes the watchers get a turn, where no pace is asked for. */
const YIELD_EVERY = 50;

async function pace(
  target: ReplayTarget,
  started: number,
  changes: number,
  perSecond: number,
): Promise<void> {
  if (perSecond <= 0) {
    if (changes % YIELD_EVERY === 0) await target.drained();
    return;
  }
  const aheadMs = (changes * 1000) / perSecond - (performance.now() - started);
  // Timers are no finer than this.
  if (aheadMs >= 1) await sleep(aheadMs);
}

function play(
  target: ReplayTarget,
  { scenario, event }: Step,
  index: number | undefined,
): ReplayedChange {
  const object = index === undefined ? event.object : copyOf(event.object, index);
  const { name, namespace = 'default' } = object.metadata;
  if (event.type === 'DELETED') target.remove(namespace, name);
  else target.put(object);
  return { scenario, namespace, name, type: event.type };
}

/**
 * The object as the `index`-th of many: `app` becomes `app-00007`, and the last segment of its image
 * names alike, so that no two objects mirror the same image.
 */
export function copyOf(object: KubeObject, index: number): KubeObject {
  const suffix = `-${String(index).padStart(5, '0')}`;
  const { metadata } = object;
  const renamed = (holder: unknown, field: string): unknown =>
    isJsonObject(holder) && typeof holder[field] === 'string'
      ? { ...holder, [field]: `${holder[field]}${suffix}` }
      : holder;
  return {
    ...object,
    metadata: { ...metadata, name: `${metadata.name}${suffix}`, uid: uidOf(metadata.uid, index) },
    spec: renamed(object['spec'], 'image'),
    status: renamed(object['status'], 'canonicalImageName'),
  };
}

/** A UID that is the same for all changes of a copy. */
function uidOf(uid: string, index: number): string {
  const hex = createHash('sha256').update(`${uid}/${index}`).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}

/** A small generator of numbers from 0 to 1 (mulberry32): tests want the same order again. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
