import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ANONYMOUS, type Credentials } from '../../functions/auth/credentials.ts';
import { BlobCopier } from '../../functions/mirror/copy-blob.ts';
import { NO_DEADLINE } from '../../functions/mirror/deadline.ts';
import { ReferrersSupport } from '../../functions/mirror/referrers-support.ts';
import { PresenceCache } from '../../functions/mirror/presence-cache.ts';
import { mirrorRepository, type MirrorWish } from '../../functions/mirror/mirror-repository.ts';
import { MIRROR_OPTIONS } from '../mirror-options.ts';
import type { DestinationRepository, SourceRepository } from '../../functions/mirror/ports.ts';
import { TagTurns } from '../../functions/mirror/tag-turns.ts';
import { createRegistries } from '../../functions/registry/registries.ts';
import type { Timing } from '../../functions/concurrency.ts';
import { buildRelease, putRelease, type ReleaseLine } from '../stand-ins/images/release.ts';
import { storeTarget } from '../stand-ins/images/target.ts';
import { startRegistry, type LocalRegistry } from '../stand-ins/registry/registry.ts';
import { strictPlaces } from '../strict-places.ts';
import { startEntry } from '../flow/entry.ts';
import { randomFault, type ChaosFault } from './faults.ts';
import { Random } from '../random.ts';
import { Reader } from './reader.ts';

/** Ports between which a run mirrors; a broken engine puts itself in their place. */
export interface Ends {
  readonly source: SourceRepository;
  readonly destination: DestinationRepository;
}

/** What a campaign's runs have in common. */
export interface RunOptions {
  /** Replaces the ports by others, to show that a broken engine is caught. Default: as they are. */
  readonly breakEnds?: (ends: Ends, world: { readonly source: LocalRegistry }) => Ends;
  /** Whether the destination takes manifests whose parts are missing. Default false. */
  readonly trusting?: boolean;
}

/** What became of a run. */
export interface RunResult {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly deliveries: number;
  readonly requests: number;
  /** Most requests that a run with these faults may take. */
  readonly requestBound: number;
  /** One sentence each; none: the run is right. */
  readonly findings: readonly string[];
}

const REPOSITORY = 'org/app';
const MIRROR = 'project/mirror/org/app';
const TOKEN = 'ya29.chaos';
/** Share of runs in which a real process is killed first: each costs a second. */
const KILL_CHANCE = 0.08;
/** Every wait of the engine passes so many times faster. */
const HASTE = 50;
/** Deliveries after which a run without faults left must have ended. */
const MAX_DELIVERIES = 25;

/** Runs one seed: seeds a source, mirrors under faults, mends, and says what was wrong. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const calm = new Scene(seed, { ...options, breakEnds: (ends) => ends });
  const faultFreeRequests = await calm.measure();
  const scene = new Scene(seed, options);
  return scene.play(faultFreeRequests);
}

/** One world and what happens in it. */
class Scene {
  readonly #seed: number;
  readonly #options: RunOptions;
  readonly #random: Random;
  readonly #history = new Map<string, Set<string>>();
  #source!: LocalRegistry;
  #destination!: LocalRegistry;
  #line!: ReleaseLine;
  readonly #places = strictPlaces();
  #moves = 0;
  #deliveries = 0;

  constructor(seed: number, options: RunOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#random = new Random(seed);
  }

  /** Requests of a first delivery and of the resync, without any fault. */
  async measure(): Promise<number> {
    await this.#open();
    try {
      for (const workers of this.#workersOf()) await this.#deliver({ reason: 'changed' }, workers);
      await this.#deliver({ reason: 'resync', verify: 'all' }, 1);
      return this.#source.counter.total + this.#destination.counter.total;
    } finally {
      await this.#close();
    }
  }

  async play(faultFreeRequests: number): Promise<RunResult> {
    await this.#open();
    const reader = new Reader(this.#destination, MIRROR, this.#history);
    const reading = reader.start();
    try {
      const workers = this.#workersOf();
      const faults = this.#arm();
      const killed = this.#random.chance(KILL_CHANCE);
      if (killed) await this.#deliverAndKill(50 + this.#random.below(1200));
      await Promise.all(workers.map(async (count) => this.#deliverUntilDone(count)));
      this.#source.faults.clear();
      this.#destination.faults.clear();
      await this.#deliver({ reason: 'resync', verify: 'all' }, 1);
      reader.look();
      const struck = this.#source.faults.struck + this.#destination.faults.struck;
      const requests = this.#source.counter.total + this.#destination.counter.total;
      // A killed process may have done all of its work once.
      const requestBound = 3 * (faultFreeRequests * (killed ? 2 : 1) + 4 * struck);
      return {
        seed: this.#seed,
        faults: [
          ...faults.map(({ name, side }) => `${name} at ${side}`),
          ...(killed ? ['SIGKILL'] : []),
        ],
        deliveries: this.#deliveries,
        requests,
        requestBound,
        findings: [
          ...reader.findings,
          ...this.#inequalities(),
          // A resumed download may ask for a start while its upload connects, which waits for the network alone.
          ...this.#places.violations.filter((words) => words.includes('body')),
          ...(requests > requestBound ? [`${requests} requests, at most ${requestBound}`] : []),
        ],
      };
    } finally {
      reading.stop();
      await this.#close();
    }
  }

  async #open(): Promise<void> {
    const random = this.#random;
    this.#source = await startRegistry({
      auth: { scheme: 'bearer' },
      switches: {
        referrers: random.pick(['api', 'absent', 'lying']),
        blobRedirect: random.pick(['none', 'same-host', 'other-host', 'signed-other-host']),
        range: random.pick(['honoured', 'ignored', 'wrong']),
        ...(random.chance(0.3) ? { defaultTagsPage: 2 } : {}),
      },
    });
    this.#destination = await startRegistry({
      dialect: 'artifact-registry',
      google: {
        accessTokens: { verify: (token) => (token === TOKEN ? { email: 'm@p' } : undefined) },
      },
      switches: {
        mountProbe: random.pick(['honoured', 'ignored']),
        uploadLocation: random.pick(['relative', 'absolute', 'query']),
        referrers: random.pick(['api', 'absent']),
        ...(this.#options.trusting === true ? { manifestParts: 'unchecked' } : {}),
      },
    });
    const kind = random.pick([
      'image',
      'docker-image',
      'multi-platform',
      'chart',
      'signed',
      'referred',
    ] as const);
    this.#line = { repository: REPOSITORY, kind };
    const versions = 2 + random.below(3);
    for (let version = 0; version < versions; version++) {
      await putRelease(storeTarget(this.#source.store), this.#line, `1.0.${version}`, 'chaos');
    }
    const newest = this.#source.store.digestOfTag(REPOSITORY, `1.0.${versions - 1}`) ?? '';
    this.#source.store.setTag(REPOSITORY, 'latest', newest);
    this.#remember();
  }

  async #close(): Promise<void> {
    await Promise.all([this.#source.close(), this.#destination.close()]);
  }

  /** Tag workers of each process that works on the repository; two: a duplicate event elsewhere. */
  #workersOf(): readonly number[] {
    const first = 1 + this.#random.below(4);
    return this.#random.chance(0.3) ? [first, 2] : [first];
  }

  #arm(): readonly ChaosFault[] {
    const world = {
      source: this.#source,
      destination: this.#destination,
      moveTag: () => {
        this.#move();
      },
      deleteTag: () => {
        const tags = this.#source.store.tags(REPOSITORY).filter((tag) => /^1\.0\.\d+$/.test(tag));
        const [first] = tags;
        if (tags.length > 1 && first !== undefined) this.#source.store.deleteTag(REPOSITORY, first);
      },
    };
    const faults = Array.from({ length: 1 + this.#random.below(6) }, () =>
      randomFault(this.#random, world),
    );
    for (const { side, rule } of faults) {
      (side === 'source' ? this.#source : this.#destination).faults.add(rule);
    }
    return faults;
  }

  /** Another image under `latest`, as a push would leave it. */
  #move(): void {
    const { store } = this.#source;
    const image = buildRelease(this.#line, `2.0.${this.#moves++}`, 'chaos');
    for (const blob of image.blobs) store.putBlob(REPOSITORY, blob.bytes, blob.digest);
    for (const child of image.children) store.putManifest(REPOSITORY, child);
    store.putManifest(REPOSITORY, image.root, 'latest');
    this.#remember();
  }

  #remember(): void {
    for (const tag of this.#source.store.tags(REPOSITORY)) {
      const known = this.#history.get(tag) ?? new Set<string>();
      known.add(this.#source.store.digestOfTag(REPOSITORY, tag) ?? '');
      this.#history.set(tag, known);
    }
  }

  /** Redelivers as Pub/Sub does, to a new process where the last one died. */
  async #deliverUntilDone(workers: number): Promise<void> {
    for (let delivery = 0; delivery < MAX_DELIVERIES; delivery++) {
      if (await this.#deliver({ reason: 'changed' }, workers)) return;
    }
  }

  /** A real process with its own connections, ended in the middle by SIGKILL. */
  async #deliverAndKill(afterMs: number): Promise<void> {
    this.#deliveries += 1;
    const { host } = this.#destination;
    const folder = await mkdtemp(join(tmpdir(), 'imagerepo-mirror-chaos-'));
    const dockerConfig = join(folder, 'config.json');
    const auth = Buffer.from(`oauth2accesstoken:${TOKEN}`).toString('base64');
    await writeFile(dockerConfig, JSON.stringify({ auths: { [host]: { auth } } }));
    const { child, ended } = startEntry('functions/job.ts', [
      `--image=${this.#source.host}/${REPOSITORY}`,
      `--destination-registry=${host}/project/mirror`,
      '--destination-layout=path',
      `--docker-config=${dockerConfig}`,
    ]);
    const killer = setTimeout(() => child.kill('SIGKILL'), afterMs);
    await ended;
    clearTimeout(killer);
    await rm(folder, { recursive: true, force: true });
  }

  /** One delivery to a process of its own; whether it is acknowledged. */
  async #deliver(
    wish: Pick<MirrorWish, 'reason' | 'verify'>,
    tagWorkers: number,
  ): Promise<boolean> {
    this.#deliveries += 1;
    const timing = hastyTiming();
    const google: Credentials = {
      credentialFor: async () => Promise.resolve({ kind: 'google', token: TOKEN }),
      accountAtRealm: async () => Promise.resolve({ kind: 'google', token: TOKEN }),
      refused: () => undefined,
    };
    const { host } = this.#destination;
    const registries = createRegistries({
      credentials: (side) => (side === 'source' ? ANONYMOUS : google),
      isGoogle: (asked) => asked === host,
      privateHosts: [this.#source.host, host],
      loopback: true,
      timing,
      // By the machine's own time, as sockets are: a stall costs a run no more than this.
      idleMs: 400,
      placeObserver: this.#places,
    });
    const clock = (): number => timing.now();
    const ends: Ends = {
      source: registries.source({ host: this.#source.host, path: REPOSITORY }, { insecure: true }),
      destination: registries.destination({ host, path: MIRROR }, { insecure: true }),
    };
    try {
      const report = await mirrorRepository(
        { exclusionList: [String.raw`^.*\.sig$`], ...wish },
        {
          ...(this.#options.breakEnds?.(ends, { source: this.#source }) ?? ends),
          pool: new BlobCopier({
            presence: new PresenceCache(clock),
            timing,
            placeObserver: this.#places,
          }),
          referrersSupport: new ReferrersSupport(),
          tagTurns: new TagTurns(clock),
          clock,
          deadline: NO_DEADLINE,
        },
        { ...MIRROR_OPTIONS, tagWorkers },
        new AbortController().signal,
      );
      return report.unfinished.length === 0;
    } catch {
      // Nothing could be planned: the message is delivered again.
      return false;
    } finally {
      registries.close();
    }
  }

  /** Tags that the source still has and the destination has not, or otherwise. */
  #inequalities(): readonly string[] {
    const { store } = this.#source;
    return store
      .tags(REPOSITORY)
      .filter((tag) => !tag.startsWith('sha256-'))
      .filter(
        (tag) =>
          store.digestOfTag(REPOSITORY, tag) !== this.#destination.store.digestOfTag(MIRROR, tag),
      )
      .map((tag) => `${tag} is not equal after the resync`);
  }
}

/** The machine's time, {@link HASTE} times as fast. */
export function hastyTiming(): Timing {
  const startedAtMs = Date.now();
  return {
    now: () => startedAtMs + (Date.now() - startedAtMs) * HASTE,
    setTimer: (delayMs, action) => {
      const timer = setTimeout(action, delayMs / HASTE);
      return () => {
        clearTimeout(timer);
      };
    },
  };
}
