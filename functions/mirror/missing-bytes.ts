import pMap from 'p-map';

import { blobsOf } from '../oci/manifest.ts';
import type { CopyContext } from './copy-manifest.ts';
import { chooseChildren, mayLackChildren } from './platforms.ts';
import type { Descriptor } from './ports.ts';
import type { ManifestNode } from './source-manifests.ts';
import {
  enterIndex,
  ManifestLimit,
  descend,
  graphPathFrom,
  type GraphPath,
} from './graph-limits.ts';

/** Blobs under 4 MiB are not looked up: what they add to a threshold of GiB is not worth a request. */
const LOOK_UP_FROM_BYTES = 4 * 1024 * 1024;

/** Few at a time, because each answer may make the next question needless. */
const LOOK_UP_CONCURRENCY = 4;

/**
 * Reads the manifests of tags ahead and adds up the distinct bytes that the destination seems to
 * lack. Where they exceed `thresholdBytes`, blobs of 4 MiB and more are looked up at the
 * destination, the largest first, because most images share their large layers with older ones.
 * What cannot be read counts nothing here: copying meets it again and tells. In a delivery the first third
 * of its time is enough: a slow source would let no delivery come to its copying.
 * @returns the bytes, exact only in so far as they do not exceed the threshold
 */
export async function missingBytes(
  tags: readonly string[],
  thresholdBytes: number,
  context: CopyContext,
  tagWorkers: number,
): Promise<number> {
  const missing = new Map<string, Descriptor>();
  await pMap(
    tags,
    async (tag) => {
      if (isLate(context)) return;
      const read = await context.read.readAhead(tag, context.signal).catch(() => undefined);
      if (read === undefined) return;
      const { digest, manifest } = read.node;
      if (context.there.isKnown(digest) && !mayLackChildren(manifest.mediaType, context)) return;
      const walk = graphPathFrom(digest, new ManifestLimit());
      await collect(read.node, walk, context, missing).catch(() => undefined);
    },
    { concurrency: tagWorkers },
  );
  return lookUp(missing, thresholdBytes, context);
}

async function collect(
  node: ManifestNode,
  walk: GraphPath,
  context: CopyContext,
  missing: Map<string, Descriptor>,
): Promise<void> {
  const { source, destination, pool, there, read, signal } = context;
  for (const blob of blobsOf(node.manifest)) {
    const { presence } = pool;
    const held =
      presence.hasBlob(destination, blob.digest) ||
      presence.isMountable(destination, blob.digest) ||
      presence.mounts(source, destination);
    if (!held) missing.set(blob.digest, blob);
  }
  if (node.manifest.kind !== 'index') return;
  const { chosen } = chooseChildren(node.manifest, context);
  enterIndex(walk, chosen);
  await pMap(
    chosen,
    async (child) => {
      if (isLate(context)) return;
      const isThere = await there.isSeen(child.digest, signal);
      if (isThere && !mayLackChildren(child.mediaType, context)) return;
      const below = await read.child(child, signal);
      await collect(below, descend(walk, child.digest), context, missing);
    },
    { concurrency: 2, stopOnError: true },
  );
}

async function lookUp(
  missing: Map<string, Descriptor>,
  thresholdBytes: number,
  context: CopyContext,
): Promise<number> {
  const { destination, pool, signal } = context;
  let sumBytes = 0;
  for (const { sizeBytes } of missing.values()) sumBytes += Math.max(sizeBytes, 0);
  const large = [...missing.values()]
    .filter(({ sizeBytes }) => sizeBytes >= LOOK_UP_FROM_BYTES)
    .sort((a, b) => b.sizeBytes - a.sizeBytes);
  await pMap(
    large,
    async (blob) => {
      if (sumBytes <= thresholdBytes || isLate(context)) return;
      if (!(await destination.hasBlob(blob, signal).catch(() => false))) return;
      pool.presence.addBlob(destination, blob.digest);
      sumBytes -= blob.sizeBytes;
    },
    { concurrency: LOOK_UP_CONCURRENCY },
  );
  return sumBytes;
}

function isLate({ clock, deadline: { earlyUntilMs } }: CopyContext): boolean {
  return Number.isFinite(earlyUntilMs) && clock() >= earlyUntilMs;
}
