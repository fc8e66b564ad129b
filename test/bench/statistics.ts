/** A figure over several runs. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Median, minimum and maximum. */
export function spreadOf(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const lower = sorted[middle - 1] ?? upper;
  return {
    median: sorted.length % 2 === 0 ? (lower + upper) / 2 : upper,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

/**
 * Ratio of two contenders' figures, run by run in the order in which they ran in turn, so that a
 * machine that grows slower meanwhile weighs on both.
 */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Spread {
  return spreadOf(ours.map((figure, run) => figure / (theirs[run] ?? Number.NaN)));
}

/** The ratio in words; one whose spread has 1 in it is no difference. */
export function ratioInWords({ median, min, max }: Spread): string {
  if (min <= 1 && max >= 1) return 'no difference';
  return `${median.toFixed(2)} (${min.toFixed(2)}…${max.toFixed(2)})`;
}
