import { createHash } from 'node:crypto';

import type { ManifestBytes } from '../../functions/mirror/ports.ts';
import type { LocalRegistry } from '../stand-ins/registry/registry.ts';
import type { Ends, RunOptions } from './run.ts';

/**
 * Engines that do one thing wrong on purpose: the chaos runs must find each of them out, or they
 * would find nothing. Where the wrong order matters the destination is one that takes manifests
 * without looking for their parts, as some registries do.
 */
export const BROKEN_ENGINES: Readonly<Record<string, RunOptions>> = {
  'tag before blobs': { trusting: true, breakEnds: tagBeforeBlobs },
  'index before its children': { trusting: true, breakEnds: indexBeforeChildren },
  'manifest not compared with the announced digest': { breakEnds: manifestUnchecked },
};

/** How much later a broken engine brings what should be there first: longer than a run looks away. */
const LATE_MS = 100;

/** Says that every blob is there at once and brings it later. */
function tagBeforeBlobs({ source, destination }: Ends): Ends {
  return {
    source,
    destination: delegating(destination, {
      uploadBlob: async (...args) => {
        setTimeout(() => {
          destination.uploadBlob(...args).catch(() => undefined);
        }, LATE_MS);
        return Promise.resolve('present' as const);
      },
    }),
  };
}

/** Pushes what is named by a digest only after what is named by a tag. */
function indexBeforeChildren({ source, destination }: Ends): Ends {
  return {
    source,
    destination: delegating(destination, {
      putManifest: async (reference, manifest, signal) => {
        if (!reference.startsWith('sha256:')) {
          return destination.putManifest(reference, manifest, signal);
        }
        setTimeout(() => {
          destination.putManifest(reference, manifest, signal).catch(() => undefined);
        }, LATE_MS);
        return Promise.resolve({ digest: manifest.digest, subjectAcknowledged: false });
      },
    }),
  };
}

/** Takes the bytes of the first tag's manifest as they come, a byte flipped, and believes their own digest. */
function manifestUnchecked(
  { source, destination }: Ends,
  world: { readonly source: LocalRegistry },
): Ends {
  let first: string | undefined;
  return {
    source: delegating(source, {
      getManifest: async (reference, signal) => {
        if (!reference.startsWith('sha256:')) first ??= reference;
        if (reference !== first) return source.getManifest(reference, signal);
        return unchecked(world.source, source.name, reference);
      },
    }),
    destination,
  };
}

/** What a flipped byte on the way would have made of the manifest of a tag. */
function unchecked(registry: LocalRegistry, name: string, tag: string): ManifestBytes | undefined {
  const manifest = registry.store.manifest(name.slice(name.indexOf('/') + 1), tag);
  if (manifest === undefined) return undefined;
  const bytes = Buffer.from(manifest.bytes.toString('utf8').replace(/\}\s*$/, ' }'));
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { mediaType: manifest.mediaType, digest, bytes };
}

/** An object that does as `target` but for some of its methods. */
function delegating<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get(inner, property) {
      const change = changes[property as keyof T];
      if (change !== undefined) return change;
      const value = Reflect.get(inner, property) as unknown;
      return typeof value === 'function' ? (value.bind(inner) as unknown) : value;
    },
  });
}
