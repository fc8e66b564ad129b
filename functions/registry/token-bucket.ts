/** Limits a rate over time, not a number at once. */
export interface TokenBucket {
  /** Takes one token, or answers in how many milliseconds there will be one. */
  take(nowMs: number): number;
}

/**
 * Artifact Registry counts 60,000 requests a minute and project (its quotas page), of which Kubernetes saw about
 * 83 a second granted to one client (kubernetes/registry.k8s.io#153) and has run at 50.
 */
export const ARTIFACT_REGISTRY_RATE = { perSecond: 50, burst: 500 };

/** A bucket that starts full. */
export function tokenBucket(rate: {
  readonly perSecond: number;
  readonly burst: number;
}): TokenBucket {
  let tokens = rate.burst;
  let filledAtMs: number | undefined;
  return {
    take(nowMs) {
      const elapsedMs = Math.max(0, nowMs - (filledAtMs ?? nowMs));
      tokens = Math.min(rate.burst, tokens + (elapsedMs / 1000) * rate.perSecond);
      filledAtMs = nowMs;
      if (tokens < 1) return Math.ceil(((1 - tokens) / rate.perSecond) * 1000);
      tokens -= 1;
      return 0;
    },
  };
}
