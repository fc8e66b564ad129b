/** How redelivery waits; absent in a subscription: a message comes again as soon as possible. */
export interface RetryPolicy {
  readonly minimumBackoffMs: number;
  readonly maximumBackoffMs: number;
}

/**
 * How long a message waits after its `failures`-th failed delivery: the minimum, doubled with each
 * further failure up to the maximum (Pub/Sub, "Handle message failures", exponential backoff); 0
 * without a policy.
 */
export function retryDelayMs(policy: RetryPolicy | undefined, failures: number): number {
  if (policy === undefined) return 0;
  // 2^40 doublings of a millisecond are past every maximum, and far from Infinity times 0.
  const doublings = Math.min(Math.max(failures - 1, 0), 40);
  return Math.min(policy.minimumBackoffMs * 2 ** doublings, policy.maximumBackoffMs);
}
