import { readFileSync } from 'node:fs';

/** A watch event as the API server sent it. */
export interface RecordedEvent {
  readonly type: string;
  readonly object: Readonly<Record<string, unknown>>;
}

/** What was done to the object, and the events that followed, without bookmarks. */
export interface Scenario {
  readonly name: string;
  readonly events: readonly RecordedEvent[];
}

/** The watch stream of one ImageRepository, recorded at a real API server with a real Flux. */
export function recordedScenarios(): readonly Scenario[] {
  const file = new URL('../data/flux-watch.ndjson', import.meta.url);
  const scenarios: { name: string; events: RecordedEvent[] }[] = [];
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const entry = JSON.parse(line) as RecordedEvent | { readonly scenario: string };
    if ('scenario' in entry) scenarios.push({ name: entry.scenario, events: [] });
    else if (entry.type !== 'BOOKMARK') scenarios.at(-1)?.events.push(entry);
  }
  return scenarios;
}

/** Which scenarios change what is mirrored, by the first words of their names. */
export const PUBLISHING_SCENARIOS: readonly string[] = [
  'created',
  'one new tag 6.1.2',
  'exclusionList changed',
  'image changed to another repository with the same tags',
];
