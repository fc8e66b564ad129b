import type { spreadOf } from './statistics.ts';

/** One line of the table. */
export interface Row {
  readonly scenario: string;
  readonly contender: string;
  readonly requests: number;
  readonly uploadedMib: number;
  readonly wallSeconds: ReturnType<typeof spreadOf>;
  readonly cpuSeconds: number;
  readonly peakMib: number;
  /** Ours divided by this one's, run by run. */
  readonly ratio: string;
  readonly rigBound: boolean;
}

/** A bound and whether it was kept. */
export interface Bound {
  readonly name: string;
  readonly bound: string;
  readonly measured: string;
  readonly kept: boolean;
}

/** The table that a person reads. */
export function tableOf(header: object, rows: readonly Row[], bounds: readonly Bound[]): string {
  const lines = Object.entries(header).map(([name, value]) => `${name}: ${String(value)}`);
  for (const scenario of new Set(rows.map((row) => row.scenario))) {
    lines.push('', scenario);
    for (const row of rows.filter((one) => one.scenario === scenario)) {
      const { median, min, max } = row.wallSeconds;
      lines.push(
        `  ${row.contender.padEnd(18)} ${row.requests.toFixed(0).padStart(5)} req ` +
          `${row.uploadedMib.toFixed(1).padStart(7)} MiB  wall ${median.toFixed(2)} s ` +
          `(${min.toFixed(2)}…${max.toFixed(2)})  cpu ${row.cpuSeconds.toFixed(2)} s  ` +
          `peak ${row.peakMib.toFixed(0)} MiB  ` +
          (row.ratio === '' ? '' : `ours/this ${row.ratio}`) +
          (row.rigBound ? '  rig-bound' : ''),
      );
    }
  }
  lines.push('', 'bounds');
  for (const { name, bound: wanted, measured, kept } of bounds) {
    lines.push(`  ${kept ? 'kept  ' : 'MISSED'} ${name}: ${measured} (${wanted})`);
  }
  return `${lines.join('\n')}\n`;
}
