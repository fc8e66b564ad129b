import { registerHooks } from 'node:module';

/** One change of a source file: text that stands there once, and what stands in its place. */
export interface Breakage {
  /** Below `functions/`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/**
 * Engines with a fault that was once real, put back: a campaign must find each of them, or it would
 * find nothing. The change is made while the file is loaded, so that the engine needs no switch.
 */
export const BROKEN_ENGINES: Readonly<Record<string, readonly Breakage[]>> = {
  'aborted wish leaves a transfer that never ends': [
    {
      file: 'mirror/copy-blob.ts',
      from: `      requireRunning(signal);
      if (presence.hasBlob(`,
      to: `      if (presence.hasBlob(`,
    },
    {
      file: 'concurrency.ts',
      from: `    if (signal.aborted) throw abortError(signal);
    const flight = this`,
      to: `    if (signal.aborted) {
      if (!this.has(key)) this.#begin(key, () => new Promise(() => undefined));
      throw abortError(signal);
    }
    const flight = this`,
    },
  ],
  'resume never gives its place back': [
    {
      file: 'registry/round-trip.ts',
      from: `  permit.free();
  if (hop.keepOpen`,
      to: `  if (request.headers?.['range'] === undefined) permit.free();
  if (hop.keepOpen`,
    },
  ],
  'places are held while bodies flow': [
    {
      file: 'registry/round-trip.ts',
      from: `        onBodyFlow: () => {
          permit.free();
        },
`,
      to: ``,
    },
    {
      file: 'registry/round-trip.ts',
      from: `  permit.free();
  if (hop.keepOpen && (status === 200 || status === 206)) {`,
      to: `  if (!hop.keepOpen || (status !== 200 && status !== 206)) permit.free();
  if (hop.keepOpen && (status === 200 || status === 206)) {`,
    },
    {
      file: 'registry/round-trip.ts',
      from: `    over = true;
    count(`,
      to: `    over = true;
    permit.free();
    count(`,
    },
  ],
  'what was sent is not remembered': [
    {
      file: 'mirror/copy-blob.ts',
      from: `      this.presence.addBlob(destination, blob.digest);
`,
      to: ``,
    },
  ],
  'a POST that takes no blob is not remembered': [
    {
      file: 'registry/uploads.ts',
      from: `    memory.singlePostRefused = true;
`,
      to: ``,
    },
  ],
  'source is not looked at before a push': [
    {
      file: 'mirror/copy-tag.ts',
      from: `const looksHere = tagTurns.isStale(destination, tag, known.hereAtMs);`,
      to: `const looksHere = false;`,
    },
    {
      file: 'mirror/copy-tag.ts',
      from: `const seenAtMs = Math.min(seen.hereAtMs, seen.there.learntAtMs);`,
      to: `const seenAtMs = Infinity;`,
    },
  ],
  'tags take no turns': [
    {
      file: 'mirror/tag-turns.ts',
      from: `return this.#mutex.run(keyOf(destination, tag), signal, work);`,
      to: `return work();`,
    },
    {
      file: 'mirror/tag-turns.ts',
      from: `return pushedAtMs !== undefined && pushedAtMs >= learntAtMs;`,
      to: `return pushedAtMs === undefined ? false : false;`,
    },
  ],
  'report trusts its list': [
    {
      file: 'mirror/copy-tag.ts',
      from: `  const looksThere =
    planned.digest`,
      to: `  const looksThere = context.onDrift !== 'report' && (
    planned.digest`,
    },
    {
      file: 'mirror/copy-tag.ts',
      from: `    tagTurns.isStale(destination, tag, planned.learntAtMs);`,
      to: `    tagTurns.isStale(destination, tag, planned.learntAtMs));`,
    },
    {
      file: 'mirror/copy-tag.ts',
      from: `const seenAtMs = Math.min(seen.hereAtMs, seen.there.learntAtMs);`,
      to: `const seenAtMs = seen.hereAtMs;`,
    },
  ],
  'other sources are waited for without bound': [
    {
      file: 'mirror/copy-blob.ts',
      from: `return lead.source === source.name
        ?`,
      to: `return lead.source !== ''
        ?`,
    },
  ],
  'sources share a transfer and its fault': [
    {
      file: 'mirror/copy-blob.ts',
      from: '`${source.name} ${destination.name} ${digest} ${described}`',
      to: '`${destination.host} ${digest}`',
    },
  ],
};

/**
 * Loads the engine broken from now on, in this thread.
 * @returns whether every change was made, once the engine is loaded
 */
export function breakEngine(name: string): () => boolean {
  const breakages = BROKEN_ENGINES[name];
  if (breakages === undefined) throw new Error(`there is no broken engine '${name}'`);
  const made = new Set<Breakage>();
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const own = breakages.filter(({ file }) => url.endsWith(`/functions/${file}`));
      if (own.length === 0) return loaded;
      let source = Buffer.from(loaded.source as Uint8Array).toString('utf8');
      for (const breakage of own) {
        const { from, to } = breakage;
        if (source.split(from).length !== 2) {
          throw new Error(`${breakage.file} has not once: ${from}`);
        }
        source = source.replace(from, () => to);
        made.add(breakage);
      }
      return { ...loaded, source };
    },
  });
  return () => made.size === breakages.length;
}
