import { isDeepStrictEqual } from 'node:util';

import type { ApiClient } from './api-client.ts';
import type { Condition, Repository, RepositoryStatus } from './repository.ts';

/**
 * Writes status as Flux does: conditions by one merge patch, all else by another, and nothing where
 * nothing changed. Holds the newest version of the object that the API server has answered.
 */
export class StatusWriter {
  private readonly api: ApiClient;
  private newest: Repository;

  constructor(api: ApiClient, repository: Repository) {
    this.api = api;
    this.newest = repository;
  }

  /** The object as the API server has it. */
  get repository(): Repository {
    return this.newest;
  }

  /** The conditions that the API server has. */
  get conditions(): readonly Condition[] {
    return this.newest.status?.conditions ?? [];
  }

  /** Replaces the list of conditions. */
  async writeConditions(conditions: readonly Condition[]): Promise<void> {
    if (isDeepStrictEqual(byName(conditions), byName(this.conditions))) return;
    this.newest = await this.api.patch(this.newest, 'status', { status: { conditions } });
  }

  /** Changes the other fields of status that are given and differ. */
  async writeRest(rest: Omit<RepositoryStatus, 'conditions'>): Promise<void> {
    const before = this.newest.status ?? {};
    const patch = difference(before, rest);
    if (Object.keys(patch).length === 0) return;
    this.newest = await this.api.patch(this.newest, 'status', { status: patch });
  }
}

/** A merge patch from one object to another, for the fields that the other has. */
function difference(before: object, after: object): Record<string, unknown> {
  const old = new Map(Object.entries(before));
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(after) as readonly (readonly [string, unknown])[]) {
    if (value === undefined || isDeepStrictEqual(old.get(name), value)) continue;
    patch[name] = name === 'lastScanResult' ? scanDifference(old.get(name), value) : value;
  }
  return patch;
}

/** Inside the scan result only what moved is sent, and what is gone is removed. */
function scanDifference(before: unknown, after: unknown): unknown {
  if (typeof before !== 'object' || before === null || typeof after !== 'object') return after;
  const patch = difference(before, after ?? {});
  for (const name of Object.keys(before)) {
    if (!(name in (after ?? {}))) patch[name] = null;
  }
  return patch;
}

/** Order of fields and of members does not count. */
function byName(conditions: readonly Condition[]): readonly Condition[] {
  return [...conditions].sort((a, b) => (a.type < b.type ? -1 : 1));
}
