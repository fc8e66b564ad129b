import type { Credentials } from '../../../functions/auth/credentials.ts';
import { ANONYMOUS } from '../../../functions/auth/credentials.ts';
import type { MirrorWish } from '../../../functions/mirror/mirror-repository.ts';
import type { MirrorOptions } from '../../../functions/mirror/options.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { createRegistries, type Registries } from '../../../functions/registry/registries.ts';
import { RETRY_POLICY } from '../../../functions/registry/retry-policy.ts';
import {
  startRegistry,
  type LocalRegistry,
  type RegistryOptions,
} from '../../stand-ins/registry/registry.ts';
import type { Image } from './images.ts';
import { Rig } from './rig.ts';

/** Repository at the source, and the path of its mirror at the destination. */
export const SOURCE_PATH = 'upstream/images/org/app';
export const DESTINATION_PATH = 'project/mirror/ghcr.io/org/app';

const ACCESS_TOKEN = 'ya29.loopback';

/** Credentials of a Google identity for one host. */
function googleOf(host: string): Credentials {
  return {
    accountAtRealm: () => Promise.resolve(undefined),
    credentialFor: (asked) =>
      Promise.resolve(asked === host ? { kind: 'google', token: ACCESS_TOKEN } : undefined),
    refused: () => undefined,
  };
}

/** What the two registries of a test are. */
export interface LoopbackOptions {
  readonly source?: 'bearer' | 'google';
  readonly destination?: 'google' | 'plain' | 'plain-bearer';
  readonly sourceOptions?: RegistryOptions;
  readonly destinationOptions?: RegistryOptions;
  /** The source repository lies in the destination's registry, which is anonymous: promotion. */
  readonly oneHost?: boolean;
}

/** Two registries on loopback, and processes that mirror between them. */
export class Loopback {
  readonly source: LocalRegistry;
  readonly destination: LocalRegistry;
  readonly #options: LoopbackOptions;
  #processes: Process[] = [];

  private constructor(source: LocalRegistry, destination: LocalRegistry, options: LoopbackOptions) {
    this.source = source;
    this.destination = destination;
    this.#options = options;
  }

  static async start(options: LoopbackOptions = {}): Promise<Loopback> {
    const { source = 'bearer', destination = 'google' } = options;
    const google = {
      dialect: 'artifact-registry',
      google: {
        accessTokens: {
          verify: (token) => (token === ACCESS_TOKEN ? { email: 'mirror@project.iam' } : undefined),
        },
      },
    } as const satisfies RegistryOptions;
    const anybody = { scheme: 'bearer', allows: () => true } as const;
    if (options.oneHost === true) {
      const one = await startRegistry({
        ...(destination === 'google' ? { dialect: 'artifact-registry' } : {}),
        ...options.destinationOptions,
      });
      return new Loopback(one, one, options);
    }
    return new Loopback(
      await startRegistry({
        ...(source === 'google' ? google : { auth: { scheme: 'bearer' } }),
        ...options.sourceOptions,
      }),
      await startRegistry({
        ...(destination === 'google' ? google : {}),
        ...(destination === 'plain-bearer' ? { auth: anybody } : {}),
        ...options.destinationOptions,
      }),
      options,
    );
  }

  /** A new process: nothing is known, no token is held. */
  process(): Process {
    const { source = 'bearer', destination = 'google' } = this.#options;
    const hosts = [
      ...(source === 'google' ? [this.source.host] : []),
      ...(destination === 'google' ? [this.destination.host] : []),
    ];
    const credentials = {
      source: source === 'google' ? googleOf(this.source.host) : ANONYMOUS,
      destination: destination === 'google' ? googleOf(this.destination.host) : ANONYMOUS,
    };
    const registries = createRegistries({
      credentials: (side) => credentials[side],
      googleTokens: { accessToken: () => Promise.resolve(ACCESS_TOKEN) },
      ...(destination === 'google'
        ? { artifactRegistryApi: { baseUrl: this.destination.url, location: 'europe' } }
        : {}),
      isGoogle: (host) => hosts.includes(host),
      privateHosts: [this.source.host, this.destination.host],
      loopback: true,
      retryPolicy: { ...RETRY_POLICY, baseMs: 1, maxMs: 1 },
    });
    const process = new Process(this, registries);
    this.#processes.push(process);
    return process;
  }

  /** Puts an image into the source under a tag. */
  seed(tag: string | undefined, image: Image, path = SOURCE_PATH): void {
    put(this.source, path, tag, image);
  }

  /** Puts an image into the destination under a tag. */
  seedDestination(tag: string | undefined, image: Image, path = DESTINATION_PATH): void {
    put(this.destination, path, tag, image);
  }

  /** Requests that both registries and their realms saw since the last call. */
  takeRequests(): number {
    const { source, destination } = this;
    const total = source.counter.total + (source === destination ? 0 : destination.counter.total);
    this.source.counter.reset();
    this.destination.counter.reset();
    return total;
  }

  /** What was asked, for the message of an assertion. */
  get summary(): string {
    return JSON.stringify(
      { source: this.source.counter.summary, destination: this.destination.counter.summary },
      undefined,
      1,
    );
  }

  async close(): Promise<void> {
    for (const process of this.#processes) process.close();
    await Promise.all(
      [...new Set([this.source, this.destination])].map(async (one) => one.close()),
    );
  }
}

/** One process of the mirror. */
export class Process {
  readonly #loopback: Loopback;
  readonly #registries: Registries;
  readonly #rig = new Rig();

  constructor(loopback: Loopback, registries: Registries) {
    this.#loopback = loopback;
    this.#registries = registries;
  }

  async mirror(
    wish: Partial<MirrorWish> = {},
    {
      options = {},
      sourcePath = SOURCE_PATH,
      destinationPath = DESTINATION_PATH,
    }: {
      readonly options?: Partial<MirrorOptions>;
      readonly sourcePath?: string;
      readonly destinationPath?: string;
    } = {},
  ): Promise<MirrorReport> {
    const { source, destination } = this.#loopback;
    const scope = { insecure: true };
    return this.#rig.mirror(wish, {
      options,
      source: this.#registries.source({ host: source.host, path: sourcePath }, scope),
      destination: this.#registries.destination(
        { host: destination.host, path: destinationPath },
        scope,
      ),
    });
  }

  close(): void {
    this.#registries.close();
  }
}

/** Works between two registries, and ends them. */
export async function withLoopback(
  options: LoopbackOptions,
  body: (loopback: Loopback) => Promise<void>,
): Promise<void> {
  const loopback = await Loopback.start(options);
  try {
    await body(loopback);
  } finally {
    await loopback.close();
  }
}

function put(registry: LocalRegistry, path: string, tag: string | undefined, image: Image): void {
  for (const { bytes } of image.blobs) registry.store.putBlob(path, bytes);
  for (const child of image.children) put(registry, path, undefined, child);
  registry.store.putManifest(path, image.manifest, tag);
}
