import { SingleFlight } from '../concurrency.ts';
import { RecentMap } from '../recent-map.ts';
import type { ReferrersAnswer, SourceRepository } from './ports.ts';

/** Hosts that are known to answer; the longest unused is asked carefully anew. */
const MAX_HOSTS = 1_000;

/**
 * Asks source hosts for referrers so that the first question to each is asked alone: a host without
 * the API is found out by one request, not by one per tag.
 */
export class ReferrersSupport {
  readonly #first = new SingleFlight<ReferrersAnswer>();
  readonly #answered = new RecentMap<string, true>(MAX_HOSTS);

  /**
   * Asks, after the host's first question was answered, or has failed: a host that lets each question
   * wait would otherwise answer all events of the process one by one.
   * @throws MirrorError of the port, the signal's
   */
  async ask(
    source: SourceRepository,
    digest: string,
    signal: AbortSignal,
    onUnread?: (count: number) => void,
  ): Promise<ReferrersAnswer> {
    const [host = ''] = source.name.split('/', 1);
    if (!mayAsk(source)) return 'unsupported';
    if (!this.#answered.has(host)) {
      const joined = this.#first.has(host);
      try {
        const { value } = await this.#first.run(host, signal, async (shared) =>
          source.listReferrers(digest, shared, onUnread),
        );
        // Another repository may be found out in its turn.
        if (value !== 'unsupported') this.#answered.set(host, true);
        if (!joined) return value;
      } catch (error) {
        // What failed another's first question says nothing of this one.
        if (!joined || signal.aborted) throw error;
      }
    }
    return mayAsk(source) ? source.listReferrers(digest, signal, onUnread) : 'unsupported';
  }
}

function mayAsk(source: SourceRepository): boolean {
  return source.mayHaveReferrersApi;
}
