import { isMirrorError } from '../errors.ts';
import type { DestinationInventory } from './inventory.ts';
import type { PresenceCache } from './presence-cache.ts';
import type { DestinationRepository } from './ports.ts';

/**
 * Takes a 403 to a question for a manifest for "not known to be there": some answer it for what is not there
 * (Artifactory's virtual repositories, accounts that may push and not read). The push tells whether the
 * repository is closed. A 401 stays one: the credentials are wrong. So does a page under 403, which is no
 * `FORBIDDEN`: any firewall says it.
 * @throws every other fault
 */
export function unseenIfForbidden(error: unknown): undefined {
  if (!isMirrorError(error, 'FORBIDDEN')) throw error;
}

/** Which manifests the destination has: the inventory, what was pushed since, and what was asked. */
export class DestinationManifests {
  readonly #destination: DestinationRepository;
  readonly #inventory: DestinationInventory;
  readonly #presence: PresenceCache;
  readonly #asked = new Map<string, Promise<boolean>>();
  /** Proved to be missing although the inventory has them. */
  readonly #lost = new Set<string>();

  constructor(
    destination: DestinationRepository,
    inventory: DestinationInventory,
    presence: PresenceCache,
  ) {
    this.#destination = destination;
    this.#inventory = inventory;
    this.#presence = presence;
  }

  /** Whether it is known to be there, without asking. */
  isKnown(digest: string): boolean {
    if (this.#presence.hasManifest(this.#destination.name, digest)) return true;
    return !this.#lost.has(digest) && this.#inventory.hasManifest(digest) === true;
  }

  /** Whether it is there: one HEAD where neither a complete map nor the process knows. */
  async has(digest: string, signal: AbortSignal): Promise<boolean> {
    if (this.isKnown(digest)) return true;
    if (this.#lost.has(digest) || this.#inventory.hasManifest(digest) === false) return false;
    const asked = this.#asked.get(digest);
    if (asked !== undefined) return asked;
    const question = this.#ask(digest, signal);
    this.#asked.set(digest, question);
    question.catch(() => this.#asked.delete(digest));
    return question;
  }

  /** The same before a push, which tells of itself whether a 403 hid it. */
  async isSeen(digest: string, signal: AbortSignal): Promise<boolean> {
    return (await this.has(digest, signal).catch(unseenIfForbidden)) ?? false;
  }

  /** It is there now. */
  add(digest: string): void {
    this.#lost.delete(digest);
    this.#asked.delete(digest);
    this.#presence.addManifest(this.#destination.name, digest);
  }

  /** It proved to be missing. */
  forget(digest: string): void {
    this.#lost.add(digest);
    this.#presence.forgetManifest(this.#destination.name, digest);
  }

  async #ask(digest: string, signal: AbortSignal): Promise<boolean> {
    const head = await this.#destination.headManifest(digest, signal);
    if (head !== undefined) this.add(digest);
    return head !== undefined;
  }
}
