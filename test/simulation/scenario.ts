import type { Reason, Verify } from '../../functions/contract/event.ts';
import type { Random } from '../random.ts';
import type { DisturbanceRule, ExchangeFacts } from './disturbance.ts';
import type { NetworkPace } from './network.ts';
import type { RegistryTraits } from './registry.ts';

/** What a run is mostly about; the rest of it is chance. */
export const THEMES = [
  'mixed',
  'deadline',
  'congestion',
  'hostage',
  'moving',
  'slow-link',
  'ending',
  'incomplete',
] as const;

/** See {@link THEMES}. */
export type Theme = (typeof THEMES)[number];

/** A blob by the name that its bytes are made of. */
export interface BlobPlan {
  readonly seed: string;
  readonly sizeBytes: number;
}

/** An image, or an index of images. */
export interface ImagePlan {
  readonly seed: string;
  readonly layers: readonly BlobPlan[];
  readonly children: readonly ImagePlan[];
  /** A cosign tag follows it. */
  readonly signed: boolean;
  /** Referrers of OCI 1.1 follow it. */
  readonly referrers: number;
}

/** A source repository. */
export interface SourcePlan {
  readonly host: string;
  readonly path: string;
  readonly tags: Readonly<Record<string, ImagePlan>>;
  /** Blobs that it lacks although its manifests name them. */
  readonly lacks: readonly string[];
  /** Nothing goes wrong with it or with what it shares with others. */
  readonly healthy: boolean;
}

/** A message of the cluster, or of an operator. */
export interface MessagePlan {
  readonly atMs: number;
  readonly topic: 'live' | 'bulk';
  /** Number of the source. */
  readonly source: number;
  readonly reason: Reason;
  readonly verify: Verify | undefined;
  readonly tags: readonly string[] | undefined;
  /** Names a destination that its namespace may not: nobody can ever carry it out. */
  readonly isForbidden?: boolean;
}

/** Something that the world does by itself. */
export type WorldPlan = { readonly atMs: number } & (
  | ({ readonly kind: 'move' | 'push'; readonly image: ImagePlan } & TagOfSource)
  | ({ readonly kind: 'remove-tag' } & TagOfSource)
  | { readonly kind: 'collect-garbage' }
  | { readonly kind: 'terminate' | 'kill'; readonly topic: 'live' | 'bulk' }
);

interface TagOfSource {
  readonly source: number;
  readonly tag: string;
}

/** All of a run but its order. */
export interface Scenario {
  readonly theme: Theme;
  readonly registries: readonly RegistryTraits[];
  readonly destinationHost: string;
  readonly sources: readonly SourcePlan[];
  readonly messages: readonly MessagePlan[];
  readonly world: readonly WorldPlan[];
  readonly rules: readonly DisturbanceRule[];
  readonly pace: NetworkPace;
  readonly slackMs: number;
  readonly deadlineMs: number;
  readonly batchTags: number;
  readonly jobThresholdBytes: number;
  readonly tagWorkers: number;
  readonly onDrift: 'overwrite' | 'report';
  readonly referrers: boolean;
  /** Processes of each lane that share the work. */
  readonly processes: number;
}

const KIB = 1024;
const LARGE_BYTES = 1024 * KIB;

/** Lengths of a delivery to draw from; a minute or the nine of production where nothing is said. */
const DEADLINES_MS: Partial<Record<Theme, readonly number[]>> = {
  deadline: [12_000, 25_000, 45_000],
  hostage: [180_000, 540_000],
  'slow-link': [540_000],
};

/** Probability of an image with many layers. */
const MANY_LAYERS: Partial<Record<Theme, number>> = {
  incomplete: 0.25,
  deadline: 0.25,
  congestion: 0.5,
};

const DESTINATIONS = ['europe-docker.pkg.dev', 'mirror.example'];
const SOURCES = ['alpha.example', 'beta.example', 'gamma.example', 'us-docker.pkg.dev'];

/** Makes a run's plan of its seed. */
export function scenarioOf(random: Random): Scenario {
  return new Planner(random).plan();
}

class Planner {
  readonly #random: Random;
  readonly #theme: Theme;
  readonly #bases: readonly BlobPlan[];
  #images = 0;
  #larges = 0;
  /** Of the destination: without it, what its clean-up takes is missed by nobody. */
  #checksParts = true;
  readonly #tells: { readonly source: number; readonly tag: string; readonly atMs: number }[] = [];
  /** Images that a tag has had, by source and tag. */
  readonly #had = new Map<string, Set<ImagePlan | undefined>>();

  constructor(random: Random) {
    this.#random = random;
    this.#theme = random.pick(THEMES);
    const large = this.#theme === 'slow-link' ? 0.9 : this.#theme === 'hostage' ? 0.5 : 0.15;
    this.#bases = Array.from({ length: 1 + random.below(5) }, (_none, index) =>
      this.#blob(`base ${index}`, large),
    );
  }

  plan(): Scenario {
    const random = this.#random;
    const theme = this.#theme;
    const destinationHost = random.pick(DESTINATIONS);
    const hosts = this.#hosts(destinationHost);
    const sources = this.#sources(hosts);
    const deadlineMs = random.pick(DEADLINES_MS[theme] ?? [60_000, 540_000]);
    const registries = [destinationHost, ...hosts].map((host) =>
      this.#traits(host, host === destinationHost),
    );
    this.#checksParts = registries[0]!.checksParts;
    const onDrift = theme === 'moving' && random.chance(0.4) ? 'report' : 'overwrite';
    const messages = this.#messages(sources);
    const world = this.#world(sources, onDrift);
    const scenario: Scenario = {
      theme,
      registries,
      destinationHost,
      sources,
      world,
      messages: [...messages, ...this.#tellings()],
      rules: this.#rules(sources, destinationHost),
      pace: this.#pace(),
      slackMs: random.pick([0, 1, 5, 40]),
      deadlineMs,
      batchTags: random.pick([1, 2, 3, 100]),
      jobThresholdBytes:
        theme !== 'hostage' && random.chance(0.15) ? random.pick([2_000, 2 * LARGE_BYTES]) : -1,
      tagWorkers: 1 + random.below(4),
      onDrift,
      referrers: random.chance(0.7),
      processes: random.pick([1, 1, 2]),
    };
    // Drawn last, so that the rest of a seed's plan does not depend on it.
    const forbidden = this.#forbidden(sources);
    return {
      ...scenario,
      messages: [...scenario.messages, ...forbidden],
      registries: registries.map((traits) =>
        traits.host === destinationHost ? { ...traits, ...this.#uploads() } : traits,
      ),
    };
  }

  /** Where mounts are refused, small blobs are sent with their POSTs. */
  #uploads(): Pick<RegistryTraits, 'refusesMounts' | 'singlePost'> {
    const random = this.#random;
    return {
      refusesMounts: random.chance(0.3),
      singlePost: random.pick(['honoured', 'ignored', 'refused']),
    };
  }

  #forbidden(sources: readonly SourcePlan[]): readonly MessagePlan[] {
    const random = this.#random;
    if (!random.chance(0.05)) return [];
    return [
      {
        atMs: random.pick([0, 100, 3_000]),
        topic: random.pick(['live', 'bulk']),
        source: random.below(sources.length),
        reason: 'requested',
        verify: undefined,
        tags: undefined,
        isForbidden: true,
      },
    ];
  }

  #hosts(destinationHost: string): readonly string[] {
    const most = this.#theme === 'hostage' || this.#theme === 'incomplete' ? 4 : 3;
    const least = this.#theme === 'hostage' ? 2 : 1;
    const count = least + this.#random.below(most - least + 1);
    const all = this.#shuffled(SOURCES.filter((host) => host !== destinationHost));
    return all.slice(0, Math.min(count, all.length));
  }

  #traits(host: string, isDestination: boolean): RegistryTraits {
    const random = this.#random;
    const google = host.endsWith('.pkg.dev');
    return {
      host,
      google,
      mountProbe: google || random.chance(0.5),
      refusesMounts: false,
      singlePost: 'ignored',
      realm: !google && random.chance(0.5),
      range: random.pick(['honoured', 'honoured', 'honoured', 'ignored', 'wrong']),
      referrers: random.pick(['api', 'absent', 'lying']),
      keepsReferrers: random.chance(0.5),
      redirectsBlobs: !isDestination && random.chance(0.3),
      checksParts: random.chance(0.7),
      pageSize: random.chance(0.3) ? 2 : undefined,
    };
  }

  #sources(hosts: readonly string[]): readonly SourcePlan[] {
    const random = this.#random;
    const count = hosts.length + (random.chance(0.4) ? 1 : 0);
    const lame = 1 + random.below(Math.max(1, Math.min(3, hosts.length - 1)));
    const lameHosts = new Set(hosts.slice(0, lame));
    return Array.from({ length: count }, (_none, index) => {
      const host = hosts[index % hosts.length]!;
      const google = host.endsWith('.pkg.dev');
      const path = `${google ? 'project/repo/' : ''}org/app${index}`;
      const tags = this.#tags(index);
      const healthy = this.#theme === 'hostage' && !lameHosts.has(host);
      return { host, path, tags, lacks: this.#lacks(tags, healthy, index), healthy };
    });
  }

  #lacks(tags: SourcePlan['tags'], healthy: boolean, index: number): readonly string[] {
    const random = this.#random;
    if (healthy) return [];
    if (this.#theme === 'hostage') {
      return index > 0 && random.chance(0.4) ? this.#bases.map(({ seed }) => seed) : [];
    }
    const chance = this.#theme === 'incomplete' ? 0.8 : 0.04;
    if (!random.chance(chance)) return [];
    const image = Object.values(tags).reduce((one, other) =>
      partsOf(other).length > partsOf(one).length ? other : one,
    );
    const layers = partsOf(image);
    if (layers.length === 0) return [];
    // Most often one of those that are asked for first, while others still wait.
    return [random.pick(random.chance(0.7) ? layers.slice(0, 4) : layers).seed];
  }

  #tags(source: number): Readonly<Record<string, ImagePlan>> {
    const random = this.#random;
    const count = 1 + random.below(3);
    const tags: Record<string, ImagePlan> = {};
    for (let version = 0; version < count; version += 1) {
      tags[`1.0.${version}`] = this.#image(source);
    }
    const all = Object.values(tags);
    if (random.chance(0.6)) tags['latest'] = random.pick(all);
    return tags;
  }

  #image(source: number, depth = 0): ImagePlan {
    const random = this.#random;
    this.#images += 1;
    const seed = `image ${source} ${this.#images}`;
    // More than the 8 streams of a lane, and more than the 32 blobs of a manifest at once.
    const many = MANY_LAYERS[this.#theme] ?? 0.03;
    const most = this.#theme === 'congestion' ? 14 : 40;
    const count = random.chance(many) ? random.pick([10, 14, most]) : random.below(4);
    const large = this.#theme === 'slow-link' ? 0.6 : this.#theme === 'congestion' ? 0.5 : 0.04;
    const own = Array.from({ length: count }, (_none, index) =>
      this.#blob(`${seed} layer ${index}`, count > 14 ? 0 : large),
    );
    const shared = this.#bases.filter(() => random.chance(0.6));
    const isIndex = depth === 0 && random.chance(0.2);
    return {
      seed,
      layers: isIndex ? [] : [...shared, ...own],
      children: isIndex
        ? Array.from({ length: 1 + random.below(2) }, () => this.#image(source, 1))
        : [],
      signed: depth === 0 && random.chance(0.2),
      referrers: depth === 0 && random.chance(0.15) ? 1 + random.below(2) : 0,
    };
  }

  /** Large ones are named by their number, so that their bytes are made once for all runs. */
  #blob(seed: string, large: number): BlobPlan {
    const random = this.#random;
    if (!random.chance(large)) {
      const sizes =
        this.#theme === 'congestion' ? [700, 3_000, 20_000] : [1, 60, 700, 3_000, 20_000];
      return { seed, sizeBytes: random.pick(sizes) };
    }
    this.#larges += 1;
    return { seed: `large ${this.#larges}`, sizeBytes: LARGE_BYTES };
  }

  #messages(sources: readonly SourcePlan[]): readonly MessagePlan[] {
    const random = this.#random;
    const messages: MessagePlan[] = [];
    for (const [index, { tags }] of sources.entries()) {
      const whole = 1 + (random.chance(0.4) ? random.below(3) : 0);
      for (let number = 0; number < whole; number += 1) {
        messages.push({
          atMs: random.pick([0, 0, 5, 100, 3_000, 12_000]),
          topic: random.chance(0.8) ? 'live' : 'bulk',
          source: index,
          reason: random.pick([
            'changed',
            'changed',
            'initial',
            'requested',
            'resync',
            'follow-up',
          ]),
          verify: random.pick([undefined, 'all', 'mutable']),
          tags: undefined,
        });
      }
      if (random.chance(this.#theme === 'moving' ? 0.8 : 0.25)) {
        const names = Object.keys(tags);
        messages.push({
          atMs: random.pick([0, 5, 50, 2_000, 9_000]),
          topic: random.pick(['live', 'bulk']),
          source: index,
          reason: random.pick(['changed', 'requested']),
          verify: random.pick([undefined, 'all']),
          tags: names.filter((name) => name === names.at(-1) || random.chance(0.5)),
        });
      }
    }
    return messages;
  }

  #world(sources: readonly SourcePlan[], onDrift: Scenario['onDrift']): readonly WorldPlan[] {
    const random = this.#random;
    const world: WorldPlan[] = [];
    const soon = (): number => random.pick([1, 10, 80, 300, 1_500, 5_200, 7_000, 30_000]);
    const tagOf = (source: number): string => random.pick(Object.keys(sources[source]!.tags));
    const changing = sources.flatMap(({ healthy }, index) => (healthy ? [] : [index]));
    const moves = this.#theme === 'moving' ? 1 + random.below(4) : random.chance(0.15) ? 1 : 0;
    for (let number = 0; number < moves && changing.length > 0; number += 1) {
      const source = random.pick(changing);
      const tag = tagOf(source);
      const atMs = soon();
      world.push({ kind: 'move', atMs, source, tag, image: this.#next(source, tag, sources) });
      // The cluster tells of most moves soon, often while the old digest is still worked on.
      if (random.chance(0.7)) this.#tells.push({ source, tag, atMs });
    }
    if (onDrift === 'report' || (this.#theme === 'moving' && random.chance(0.3))) {
      const source = random.pick(changing);
      const tag = tagOf(source);
      world.push({ kind: 'push', atMs: soon(), source, tag, image: this.#image(source) });
    }
    if (random.chance(0.05) && changing.length > 0) {
      const source = random.pick(changing);
      world.push({ kind: 'remove-tag', atMs: soon(), source, tag: tagOf(source) });
    }
    if (random.chance(0.1) && this.#checksParts)
      world.push({ kind: 'collect-garbage', atMs: soon() });
    const ends = this.#theme === 'ending' ? 1 + random.below(2) : random.chance(0.06) ? 1 : 0;
    for (let number = 0; number < ends && this.#theme !== 'hostage'; number += 1) {
      world.push({
        kind: random.chance(0.6) ? 'terminate' : 'kill',
        atMs: soon(),
        topic: random.pick(['live', 'bulk']),
      });
    }
    return world;
  }

  /** What a tag becomes: often an image that other tags have, so that nothing needs to be brought. */
  #next(source: number, tag: string, sources: readonly SourcePlan[]): ImagePlan {
    const { tags } = sources[source]!;
    const had = this.#had.get(`${source} ${tag}`) ?? new Set([tags[tag]]);
    this.#had.set(`${source} ${tag}`, had);
    const others = Object.values(tags).filter((image) => !had.has(image));
    const next =
      others.length > 0 && this.#random.chance(0.6)
        ? this.#random.pick(others)
        : this.#image(source);
    had.add(next);
    return next;
  }

  /** Events about the tags that will move. */
  #tellings(): readonly MessagePlan[] {
    const random = this.#random;
    return this.#tells.map(({ source, tag, atMs }) => ({
      atMs: atMs + random.pick([0, 1, 20, 200, 2_000]),
      topic: random.pick(['live', 'live', 'bulk']),
      source,
      reason: 'requested',
      verify: 'all',
      tags: random.chance(0.6) ? [tag] : undefined,
    }));
  }

  #rules(sources: readonly SourcePlan[], destinationHost: string): readonly DisturbanceRule[] {
    const random = this.#random;
    switch (this.#theme) {
      case 'hostage': {
        const healthyHosts = new Set(
          sources.filter(({ healthy }) => healthy).map(({ host }) => host),
        );
        const ofLame = ({ side, host }: ExchangeFacts): boolean =>
          side === 'source' && !healthyHosts.has(host);
        return [
          {
            kinds: [random.pick(['trickle', 'trickle', 'stuck', 'silent', 'cut'] as const)],
            chance: 0.9,
            most: 1 + random.below(4),
            applies: (facts) => ofLame(facts) && facts.kind === 'blob' && facts.method === 'GET',
          },
        ];
      }
      case 'congestion': {
        // Small windows and broken downloads: resumes meet what still waits to begin.
        const early = random.pick([0, 10, 30, 60]);
        const throttledSide = random.pick([
          'source',
          'destination',
          'destination',
          undefined,
        ] as const);
        return [
          {
            kinds: random.pick([['throttled'], ['throttled', 'throttled-late']] as const),
            chance: random.pick([0.3, 0.6, 0.9]),
            most: 6 + random.below(30),
            applies: ({ number, side, kind }) =>
              number <= 30 + early * 3 &&
              kind !== 'token' &&
              kind !== 'tags' &&
              (throttledSide === undefined || side === throttledSide),
          },
          {
            kinds: ['throttled', 'throttled-late'],
            chance: random.pick([0, 0.3, 0.7]),
            most: 4 + random.below(12),
            applies: ({ kind }) => kind === 'upload',
          },
          {
            kinds: random.pick([['cut'], ['cut', 'stuck'], ['cut', 'upload-cut']] as const),
            chance: random.pick([0.4, 1, 1]),
            most: 8 + random.below(40),
            applies: ({ number, kind, resumes }) =>
              number > early && (kind === 'upload' || (kind === 'blob' && !resumes)),
          },
        ];
      }
      case 'deadline':
        return [
          // So many slow streams fill a lane, and what waits behind them meets the deadline.
          {
            kinds: ['late', 'trickle', 'stuck', 'silent'],
            chance: random.pick([0.1, 0.5, 0.9]),
            most: 1 + random.below(16),
            applies: ({ kind }) => kind === 'blob' || kind === 'upload',
          },
          { kinds: ['late', 'silent'], chance: 0.03, most: random.below(4) },
          { kinds: ['throttled'], chance: 0.05, most: random.below(4) },
        ];
      case 'slow-link':
        return random.chance(0.5) ? [] : [{ kinds: ['cut', 'upload-cut'], chance: 0.1, most: 3 }];
      case 'moving':
        return [
          { kinds: ['late'], chance: 0.15, most: 8 },
          { kinds: ['throttled', 'failing', 'answer-lost'], chance: 0.04, most: 3 },
        ];
      case 'incomplete':
        return [
          { kinds: ['late', 'cut', 'failing'], chance: 0.05, most: 4 },
          {
            kinds: ['failing', 'unreachable'],
            chance: 0.3,
            most: random.below(4),
            applies: ({ host, kind }) => host !== destinationHost && kind === 'blob',
          },
        ];
      case 'ending':
      case 'mixed':
        return [
          {
            kinds: [
              'throttled',
              'failing',
              'unreachable',
              'answer-lost',
              'silent',
              'late',
              'cut',
              'stuck',
              'trickle',
              'flipped',
              'wrong-length',
              'upload-cut',
              'upload-stuck',
              'throttled-late',
              'token-expired',
            ],
            chance: random.pick([0.01, 0.05, 0.15]),
            most: 1 + random.below(20),
          },
        ];
    }
  }

  #pace(): NetworkPace {
    const random = this.#random;
    const latenciesMs =
      this.#theme === 'deadline'
        ? random.pick([
            [1, 50, 400],
            [40, 150, 700],
          ])
        : this.#theme === 'moving'
          ? random.pick([
              [0, 1, 20],
              [20, 300, 1_800],
            ])
          : random.pick([
              [0, 1],
              [0, 1, 5, 30],
              [20, 60, 300],
            ]);
    return {
      latenciesMs,
      // More than the reader keeps ready (4) where downloads are to break under uploads.
      parts: this.#theme === 'congestion' ? 12 : random.pick([1, 3, 8]),
      uploadBytesPerSecond:
        this.#theme === 'slow-link'
          ? // All of it takes 100 or 250 s of the 540.
            Math.ceil((this.#larges * LARGE_BYTES) / random.pick([100, 250])) + 20 * KIB
          : undefined,
    };
  }

  #shuffled<T>(list: readonly T[]): readonly T[] {
    const rest = [...list];
    const out: T[] = [];
    while (rest.length > 0) out.push(...rest.splice(this.#random.below(rest.length), 1));
    return out;
  }
}

function partsOf({ layers, children }: ImagePlan): readonly BlobPlan[] {
  return [...layers, ...children.flatMap((child) => child.layers)];
}
