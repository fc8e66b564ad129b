import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { FaultRuleDocument, RegistryFigures, SyntheticImageRequest } from './control.ts';
import type { RegistrySwitches } from './switches.ts';

/** A registry in a process of its own, controlled from this one. */
export interface RegistryProcess {
  readonly host: string;
  readonly url: string;
  readonly downloadUrl: string;
  readonly controlUrl: string;
  /** Its certificate, with `--tls`. */
  readonly ca: string | undefined;
  readonly pid: number;
  figures(): Promise<RegistryFigures>;
  /** Forgets what was counted. */
  reset(): Promise<void>;
  /** Forgets what is stored. */
  clear(): Promise<void>;
  set(changes: Partial<RegistrySwitches>): Promise<void>;
  addFault(rule: FaultRuleDocument): Promise<void>;
  clearFaults(): Promise<void>;
  putSyntheticImage(image: SyntheticImageRequest): Promise<{ readonly digest: string }>;
  /** Ends the process and waits until it has gone. */
  close(): Promise<void>;
}

interface Announcement {
  readonly host: string;
  readonly url: string;
  readonly downloadUrl: string;
  readonly controlUrl: string;
  readonly ca?: string;
}

/**
 * Starts `main.ts` beside this file with its command line.
 * @throws Error where it ends before it listens
 */
export async function startRegistryProcess(args: readonly string[]): Promise<RegistryProcess> {
  const entry = fileURLToPath(new URL('main.ts', import.meta.url));
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`the registry ended with ${String(code)} before it listened`);
    }),
  ])) as [string];
  const announcement = JSON.parse(line) as Announcement;

  async function control(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${announcement.controlUrl}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const document = (await response.json()) as { readonly error?: string };
    if (!response.ok) throw new Error(document.error ?? `status ${response.status}`);
    return document;
  }

  return {
    ...announcement,
    ca: announcement.ca,
    pid: child.pid ?? 0,
    figures: async () => (await control('GET', '/figures')) as RegistryFigures,
    reset: async () => {
      await control('POST', '/reset');
    },
    clear: async () => {
      await control('POST', '/clear');
    },
    set: async (changes) => {
      await control('PUT', '/switches', changes);
    },
    addFault: async (rule) => {
      await control('POST', '/faults', rule);
    },
    clearFaults: async () => {
      await control('DELETE', '/faults');
    },
    putSyntheticImage: async (image) =>
      (await control('POST', '/synthetic', image)) as { readonly digest: string },
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}
