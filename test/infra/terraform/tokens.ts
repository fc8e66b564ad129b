/** Words of a filter or a query, taken one after the other. */
export class TokenReader {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  get ended(): boolean {
    return this.#at === this.#tokens.length;
  }

  /** What is left. */
  get rest(): string {
    return this.#tokens.slice(this.#at).join(' ');
  }

  /** @throws Error at the end */
  protected next(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new Error('it ends too early');
    this.#at += 1;
    return token;
  }

  /** Whether this token was next; it is taken then. */
  protected takes(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at += 1;
    return true;
  }

  /** Takes these tokens. @throws Error where another is next */
  protected expect(...tokens: readonly string[]): void {
    for (const token of tokens) {
      if (!this.takes(token)) throw new Error(`it lacks ${token} before ${this.rest}`);
    }
  }
}
