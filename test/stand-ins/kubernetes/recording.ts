import { isJsonObject, type KubeObject } from './object.ts';

/** A change in a recorded watch stream. */
export interface RecordedEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
}

/** A part of a recording, by the line that names it. */
export interface Scenario {
  readonly name: string;
  readonly events: readonly RecordedEvent[];
}

/**
 * Reads a recorded watch stream: one JSON watch event a line, with `{"scenario": …}` lines between.
 * Bookmarks are left out: whoever plays it sends its own.
 * @throws Error naming the line that is neither
 */
export function readRecording(text: string): readonly Scenario[] {
  const scenarios: { name: string; events: RecordedEvent[] }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const entry: unknown = JSON.parse(line);
    if (!isJsonObject(entry)) throw new Error(`line ${index + 1} is no JSON object`);
    const { scenario, type, object } = entry;
    if (typeof scenario === 'string') scenarios.push({ name: scenario, events: [] });
    else if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') {
      const last = scenarios.at(-1);
      if (last === undefined) throw new Error(`line ${index + 1} comes before any scenario`);
      last.events.push({ type, object: object as KubeObject });
    } else if (type !== 'BOOKMARK') {
      throw new Error(`line ${index + 1} is neither an event nor a scenario`);
    }
  }
  return scenarios;
}
