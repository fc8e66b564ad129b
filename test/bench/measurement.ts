import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

import type { RegistryProcess } from '../stand-ins/registry/registry-process.ts';

/** What one run of a contender cost. */
export interface Measurement {
  readonly wallSeconds: number;
  /** User and system time of the process and its children. */
  readonly cpuSeconds: number;
  /** Peak resident memory of the process (VmHWM), bytes. */
  readonly peakBytes: number;
  /** Requests of both registries, redirect hops not counted. */
  readonly requests: number;
  readonly uploadedBytes: number;
  /** The busier registry's share of one core while the contender ran, 0 to 1 and a little more. */
  readonly registryLoad: number;
}

/** A command as a program and its arguments. */
export type Command = readonly [string, ...string[]];

/** How often the peak memory is looked at; it only grows, so the last look is the peak. */
const LOOK_MS = 10;

/** What the contender itself cost. */
export type Timed = Pick<Measurement, 'wallSeconds' | 'cpuSeconds' | 'peakBytes'>;

/**
 * Runs a command to its end.
 * @throws Error with the end of its output when it fails
 */
export async function measure(
  command: Command,
  registries: readonly RegistryProcess[],
): Promise<Measurement> {
  return measureWork(async () => runTimed(command), registries);
}

/** Adds what the registries saw of some work to what it cost. */
export async function measureWork(
  work: () => Promise<Timed>,
  registries: readonly RegistryProcess[],
): Promise<Measurement> {
  for (const registry of registries) await registry.reset();
  const before = await Promise.all(registries.map(async (registry) => registry.figures()));
  const timed = await work();
  const after = await Promise.all(registries.map(async (registry) => registry.figures()));
  const loads = after.map(
    ({ cpuMs }, index) => (cpuMs - (before[index]?.cpuMs ?? 0)) / 1000 / timed.wallSeconds,
  );
  return {
    ...timed,
    requests: after.reduce((sum, { total, redirectHops }) => sum + total - redirectHops, 0),
    uploadedBytes: after.reduce((sum, { uploadedBytes }) => sum + uploadedBytes, 0),
    registryLoad: Math.max(...loads),
  };
}

/** The shell's own `time` tells what the kernel accounted to the finished process. */
async function runTimed(command: Command): Promise<Timed> {
  const script = 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null';
  const child = spawn('bash', ['-c', script, 'bash', ...command], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  let peakBytes = 0;
  const looking = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakOfChildren(child.pid ?? 0));
  }, LOOK_MS);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearInterval(looking);
  const times = /(\d+\.\d+) (\d+\.\d+) (\d+\.\d+)\s*$/.exec(stderr);
  if (code !== 0 || times === null) {
    throw new Error(
      `${command.join(' ')} ended with ${code ?? 'a signal'}: ${stderr.slice(-2000)}`,
    );
  }
  const [wall, user, system] = times.slice(1).map(Number);
  return { wallSeconds: wall ?? 0, cpuSeconds: (user ?? 0) + (system ?? 0), peakBytes };
}

/** Largest VmHWM among a process's children; 0 where that cannot be read. */
function peakOfChildren(pid: number): number {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return Math.max(0, ...children.map((child) => peakBytesOf(Number(child))));
  } catch {
    return 0;
  }
}

/** VmHWM of a process (Linux, proc(5)). */
export function peakBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/** User and system time of a process so far: fields 14 and 15 of its stat, in ticks of 10 ms (Linux, proc(5)). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [, , , , , , , , , , , user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(user) + Number(system)) / 100;
}
