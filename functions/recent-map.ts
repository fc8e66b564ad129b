/**
 * A map that keeps its most recently used entries: beyond the bound, the one that was used longest
 * ago goes.
 */
export class RecentMap<K, V> {
  readonly #most: number;
  readonly #mayGo: (value: V) => boolean;
  /** In the order of use. */
  readonly #entries = new Map<K, V>();

  /**
   * @param most entries, 1 or more
   * @param mayGo whether an entry can be spared; where none can, all stay. Default: each can
   */
  constructor(most: number, mayGo: (value: V) => boolean = () => true) {
    this.#most = most;
    this.#mayGo = mayGo;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: K): boolean {
    return this.#entries.has(key);
  }

  /** The value of a key, which counts as a use. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.#use(key, value);
    return value;
  }

  set(key: K, value: V): this {
    this.#use(key, value);
    for (const [oldest, spared] of this.#entries) {
      if (this.#entries.size <= this.#most) break;
      if (oldest !== key && this.#mayGo(spared)) this.#entries.delete(oldest);
    }
    return this;
  }

  /** The value of a key, made where there is none. */
  remembered(key: K, make: () => V): V {
    const known = this.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.set(key, made);
    return made;
  }

  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.#entries.entries();
  }

  #use(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
  }
}
