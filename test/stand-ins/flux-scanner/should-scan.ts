import { isDeepStrictEqual } from 'node:util';

import { pendingRequest, type Repository } from './repository.ts';
import { effectiveExclusion } from './revision.ts';

/** Why a repository is scanned, in Flux's words. */
export type ScanReason =
  | 'first scan'
  | 'reconcile requested'
  | 'new image name'
  | 'updated exclusion list'
  | 'no tags in database'
  | 'triggered by interval';

/** Whether to scan now and why, or how long there is time. */
export type ScanDecision =
  | { readonly scan: true; readonly reason: ScanReason }
  | { readonly scan: false; readonly dueInMs: number };

/** A scan that is due within this time is made now, as Flux does. */
const DUE_MS = 1000;

/** Decides by Flux's rules, in their order. `hasTags`: whether tags of the image are remembered. */
export function shouldScan(
  repository: Repository,
  canonicalName: string,
  hasTags: boolean,
  nowMs: number,
): ScanDecision {
  const { spec, status } = repository;
  const last = status?.lastScanResult;
  if (last === undefined) return { scan: true, reason: 'first scan' };
  if (pendingRequest(repository) !== undefined)
    return { scan: true, reason: 'reconcile requested' };
  if (canonicalName !== status?.canonicalImageName) return { scan: true, reason: 'new image name' };
  if (!isDeepStrictEqual(effectiveExclusion(spec.exclusionList), status.observedExclusionList)) {
    return { scan: true, reason: 'updated exclusion list' };
  }
  if (!hasTags) return { scan: true, reason: 'no tags in database' };
  const sinceMs = nowMs - Date.parse(last.scanTime ?? '1970-01-01T00:00:00Z');
  const dueInMs = durationMs(spec.interval) - sinceMs;
  return dueInMs < DUE_MS
    ? { scan: true, reason: 'triggered by interval' }
    : { scan: false, dueInMs };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a Go duration with the units that an ImageRepository may use: `1m30s`, `1.5h`. */
export function durationMs(text: string): number {
  let total = 0;
  for (const [, amount = '0', unit = 's'] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (UNITS[unit] ?? 0);
  }
  return total;
}
