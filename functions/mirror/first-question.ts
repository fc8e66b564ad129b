import type { ReferrersAnswer, SourceRepository } from './ports.ts';

/**
 * Asks source hosts for referrers so that the first question to each is asked alone: a host without
 * the API is found out by one request, not by one per tag.
 */
export class FirstQuestion {
  readonly #first = new Map<string, Promise<unknown>>();

  /** Asks, after the host's first question was answered. @throws Fault of the port */
  async ask(
    source: SourceRepository,
    digest: string,
    signal: AbortSignal,
  ): Promise<ReferrersAnswer> {
    const [host = ''] = source.name.split('/', 1);
    for (;;) {
      if (!mayAsk(source)) return 'unsupported';
      const first = this.#first.get(host);
      if (first === undefined) return this.#askFirst(host, source, digest, signal);
      const answered = await first.then(
        () => true,
        () => false,
      );
      if (answered && mayAsk(source)) return source.listReferrers(digest, signal);
    }
  }

  async #askFirst(
    host: string,
    source: SourceRepository,
    digest: string,
    signal: AbortSignal,
  ): Promise<ReferrersAnswer> {
    const asking = source.listReferrers(digest, signal);
    this.#first.set(host, asking);
    try {
      return await asking;
    } catch (error) {
      this.#first.delete(host);
      throw error;
    }
  }
}

function mayAsk(source: SourceRepository): boolean {
  return source.mayHaveReferrersApi;
}
