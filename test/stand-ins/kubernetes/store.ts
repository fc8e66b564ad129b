import { withResourceVersion, type KubeObject } from './object.ts';
import { expired } from './refusal.ts';

/** One write, as watches tell it. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly collection: string;
  readonly key: string;
  /** The server's counter after the write. */
  readonly resourceVersion: number;
  /** The object after the write; of a deletion the last state, with the deletion's resourceVersion. */
  readonly object: KubeObject;
  /** The object before the write; absent where it was made. */
  readonly previous?: KubeObject;
}

type ChangeListener = (change: Change) => void;

/** `namespace/name`, or the name alone; lists are in the order of its bytes, as in etcd. */
export function objectKey(namespace: string | undefined, name: string): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Most changes that are kept; watches from further back are told 410. */
const HISTORY_LENGTH = 50_000;

/** Objects with one counter of versions, and their history back to the last compaction. */
export class ObjectStore {
  private readonly collections = new Map<string, Map<string, KubeObject>>();
  private readonly sortedKeys = new Map<string, readonly string[]>();
  private readonly listeners = new Set<ChangeListener>();
  private history: Change[] = [];
  private counter = 1;
  private oldest = 1;

  /** The newest resourceVersion. */
  get revision(): number {
    return this.counter;
  }

  /** The resourceVersion from which on changes are known. */
  get compactedRevision(): number {
    return this.oldest;
  }

  get(collection: string, key: string): KubeObject | undefined {
    return this.collection(collection).get(key);
  }

  /** Keys in the order of their bytes. */
  keys(collection: string): readonly string[] {
    let keys = this.sortedKeys.get(collection);
    if (keys === undefined) {
      keys = [...this.collection(collection).keys()].sort();
      this.sortedKeys.set(collection, keys);
    }
    return keys;
  }

  /** Writes an object under the next resourceVersion. */
  put(collection: string, key: string, object: KubeObject): KubeObject {
    const objects = this.collection(collection);
    const previous = objects.get(key);
    this.counter += 1;
    const stored = withResourceVersion(object, this.counter);
    objects.set(key, stored);
    if (previous === undefined) this.sortedKeys.delete(collection);
    this.tell({
      type: previous === undefined ? 'ADDED' : 'MODIFIED',
      collection,
      key,
      resourceVersion: this.counter,
      object: stored,
      ...(previous === undefined ? {} : { previous }),
    });
    return stored;
  }

  /** Removes an object; nothing happens where there is none. */
  remove(collection: string, key: string): void {
    const previous = this.get(collection, key);
    if (previous === undefined) return;
    this.counter += 1;
    this.collection(collection).delete(key);
    this.sortedKeys.delete(collection);
    const object = withResourceVersion(previous, this.counter);
    this.tell({
      type: 'DELETED',
      collection,
      key,
      resourceVersion: this.counter,
      object,
      previous,
    });
  }

  /**
   * The changes of a collection after a resourceVersion.
   * @throws Refusal 410 where the history does not reach back so far
   */
  changesSince(collection: string, resourceVersion: number): readonly Change[] {
    this.requireKnown(resourceVersion);
    return this.history
      .slice(this.indexAfter(resourceVersion))
      .filter((change) => change.collection === collection);
  }

  /**
   * A reader of a collection as it was at a resourceVersion.
   * @throws Refusal 410 where the history does not reach back so far
   */
  at(
    collection: string,
    resourceVersion: number,
  ): { readonly keys: readonly string[]; get(key: string): KubeObject | undefined } {
    const undone = new Map<string, KubeObject | undefined>();
    for (const { key, previous } of this.changesSince(collection, resourceVersion)) {
      if (!undone.has(key)) undone.set(key, previous);
    }
    const get = (key: string): KubeObject | undefined =>
      undone.has(key) ? undone.get(key) : this.get(collection, key);
    const now = this.keys(collection);
    const restored = [...undone.keys()].filter((key) => this.get(collection, key) === undefined);
    const keys = restored.length === 0 ? now : [...now, ...restored].sort();
    return { keys, get };
  }

  /** Forgets the history up to now. */
  compact(): void {
    this.history = [];
    this.oldest = this.counter;
  }

  /** Calls the listener at each change until the returned function is called. */
  subscribe(listener: ChangeListener): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  private collection(name: string): Map<string, KubeObject> {
    let objects = this.collections.get(name);
    if (objects === undefined) {
      objects = new Map();
      this.collections.set(name, objects);
    }
    return objects;
  }

  private tell(change: Change): void {
    this.history.push(change);
    // Cut in large steps: moving the array at each change would cost more than the memory it saves.
    if (this.history.length > 2 * HISTORY_LENGTH) {
      this.history = this.history.slice(-HISTORY_LENGTH);
      this.oldest = (this.history[0]?.resourceVersion ?? 1) - 1;
    }
    for (const listener of this.listeners) listener(change);
  }

  private requireKnown(resourceVersion: number): void {
    if (resourceVersion < this.oldest) throw expired(resourceVersion, this.oldest);
  }

  /** Index of the first change after a resourceVersion; the history is in their order. */
  private indexAfter(resourceVersion: number): number {
    let low = 0;
    let high = this.history.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const version = this.history[middle]?.resourceVersion ?? 0;
      if (version <= resourceVersion) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
