import type { FaultRule } from '../stand-ins/registry/fault-rule.ts';
import type { LocalRegistry } from '../stand-ins/registry/registry.ts';
import type { Random } from '../random.ts';

/** What faults may do to the world around a run. */
export interface World {
  readonly source: LocalRegistry;
  readonly destination: LocalRegistry;
  /** Moves a tag of the source to another image. */
  readonly moveTag: () => void;
  /** Deletes a tag of the source. */
  readonly deleteTag: () => void;
}

/** A fault: its name for the report, and the registry and rule that make it. */
export interface ChaosFault {
  readonly name: string;
  readonly side: 'source' | 'destination';
  readonly rule: FaultRule;
}

/** Retry-After as registries write it: seconds, a date, nonsense, nothing. */
function retryAfter(random: Random): Readonly<Record<string, string>> {
  return random.pick([
    { 'retry-after': '1' },
    { 'retry-after': new Date(Date.now() + 1000).toUTCString() },
    { 'retry-after': 'soon' },
    { 'retry-after': '-5' },
    {},
  ]);
}

type Make = (random: Random, world: World) => Omit<ChaosFault, 'name'>;

const readKinds = ['manifest', 'blob', 'tags', 'token'] as const;
const writeKinds = ['manifest', 'upload', 'tags'] as const;

/** A rule for a random request of a side: the n-th of a kind. */
function somewhere(random: Random, side: 'source' | 'destination'): Omit<FaultRule, 'effect'> {
  const kind = side === 'source' ? random.pick(readKinds) : random.pick(writeKinds);
  return { kind, skip: kind === 'tags' || kind === 'token' ? 0 : random.below(8) };
}

function anySide(random: Random): 'source' | 'destination' {
  return random.pick(['source', 'destination'] as const);
}

function atSomewhere(effect: (random: Random) => FaultRule['effect']): Make {
  return (random) => {
    const side = anySide(random);
    return { side, rule: { ...somewhere(random, side), effect: effect(random) } };
  };
}

/** A rule for the n-th blob or manifest that the source gives. */
function atContent(effect: (random: Random) => FaultRule['effect']): Make {
  return (random) => ({
    side: 'source',
    rule: {
      method: 'GET',
      kind: random.pick(['blob', 'manifest'] as const),
      skip: random.below(8),
      effect: effect(random),
    },
  });
}

const KINDS: Readonly<Record<string, Make>> = {
  throttled: atSomewhere((random) => ({
    kind: 'answer',
    status: 429,
    headers: retryAfter(random),
    errors: [{ code: 'TOOMANYREQUESTS', message: 'too many requests' }],
  })),
  failing: atSomewhere((random) => ({ kind: 'answer', status: random.pick([500, 502, 503, 504]) })),
  'reset-before': atSomewhere(() => ({ kind: 'reset', at: 'head' })),
  'reset-inside': atSomewhere((random) => ({
    kind: 'reset',
    at: 'response-body',
    afterBytes: random.below(4000),
  })),
  'reset-after': atSomewhere(() => ({ kind: 'reset', at: 'end' })),
  'reset-upload': (random) => ({
    side: 'destination',
    rule: {
      method: 'PUT',
      kind: 'upload',
      skip: random.below(8),
      effect: { kind: 'reset', at: 'request-body', afterBytes: random.below(4000) },
    },
  }),
  'lost-answer': (random) => ({
    side: 'destination',
    rule: {
      method: 'PUT',
      kind: random.pick(['upload', 'manifest'] as const),
      skip: random.below(6),
      effect: { kind: 'reset', at: 'commit' },
    },
  }),
  truncated: atContent((random) => ({ kind: 'truncate', afterBytes: random.below(3000) })),
  flipped: atContent((random) => ({ kind: 'flip', atByte: random.below(1200) })),
  'wrong-length': atContent((random) => ({ kind: 'length', delta: random.pick([-7, 9]) })),
  padded: atContent(() => ({ kind: 'pad', bytes: 11 })),
  stalled: atSomewhere((random) => ({
    kind: 'stall',
    at: random.pick(['head', 'response-body'] as const),
    afterBytes: random.below(500),
  })),
  unauthorized: atSomewhere(() => ({ kind: 'anonymous' })),
  'mount-refused': (random) => ({
    side: 'destination',
    rule: {
      method: 'POST',
      kind: 'upload',
      skip: random.below(4),
      effect: {
        kind: 'answer',
        status: 400,
        errors: [{ code: 'UNSUPPORTED', message: 'no mount' }],
      },
    },
  }),
  'garbage-collected': (random, { destination }) => ({
    side: 'destination',
    rule: {
      method: 'PUT',
      kind: 'manifest',
      skip: random.below(4),
      effect: { kind: 'event', before: () => void destination.store.collectGarbage() },
    },
  }),
  'tag-moved': (random, { moveTag }) => ({
    side: 'source',
    rule: { skip: random.below(20), effect: { kind: 'event', after: moveTag } },
  }),
  'tag-deleted': (random, { deleteTag }) => ({
    side: 'source',
    rule: { skip: random.below(20), effect: { kind: 'event', after: deleteTag } },
  }),
};

/** Names of all kinds of fault. */
export const FAULT_KINDS: readonly string[] = Object.keys(KINDS);

/** One fault of a random kind. */
export function randomFault(random: Random, world: World): ChaosFault {
  const name = random.pick(FAULT_KINDS);
  const make = KINDS[name];
  if (make === undefined) throw new Error(`no fault ${name}`);
  return { name, ...make(random, world) };
}
