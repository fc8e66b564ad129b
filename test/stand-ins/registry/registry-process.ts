import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type {
  Announcement,
  Command,
  RegistryFigures,
  Reply,
  SyntheticImageRequest,
} from './registry-child.ts';
import type { RegistryOptions } from './registry.ts';
import type { RegistrySwitches } from './dialect.ts';

/** A registry in a process of its own, controlled from this one. */
export interface RegistryProcess extends Announcement {
  readonly pid: number;
  figures(): Promise<RegistryFigures>;
  /** Forgets what was counted. */
  reset(): Promise<void>;
  /** Forgets what is stored. */
  clear(): Promise<void>;
  set(changes: Partial<RegistrySwitches>): Promise<void>;
  putSyntheticImage(image: SyntheticImageRequest): Promise<{ readonly digest: string }>;
  /** Ends the process and waits until it has gone. */
  close(): Promise<void>;
}

/**
 * Starts a registry in a process of its own; its options are those that survive a copy.
 * @throws Error where it ends before it listens
 */
export async function startRegistryProcess(
  options: Pick<RegistryOptions, 'dialect' | 'discardBlobs' | 'auth' | 'tls'> = {},
): Promise<RegistryProcess> {
  const child = fork(
    fileURLToPath(new URL('registry-child.ts', import.meta.url)),
    [JSON.stringify(options)],
    { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
  );
  const gone = once(child, 'exit');
  const failed = gone.then(([code]) => {
    throw new Error(`the registry's process has ended with ${String(code)}`);
  });
  // Whoever waits for an answer sees it.
  failed.catch(() => undefined);
  const answers = new Map<number, (reply: Reply) => void>();
  let commands = 0;
  const announced = once(child, 'message') as Promise<[Announcement]>;
  const [announcement] = await Promise.race([announced, failed]);
  child.on('message', (reply: Reply) => {
    answers.get(reply.id)?.(reply);
    answers.delete(reply.id);
  });

  async function command<T>(name: Command['name'], argument?: unknown): Promise<T> {
    commands += 1;
    const answer = Promise.withResolvers<Reply>();
    answers.set(commands, answer.resolve);
    child.send({ id: commands, name, argument } satisfies Command, () => undefined);
    const { result, error } = await Promise.race([answer.promise, failed]);
    if (error !== undefined) throw new Error(error);
    return result as T;
  }

  return {
    ...announcement,
    pid: child.pid ?? 0,
    figures: () => command('figures'),
    reset: () => command('reset'),
    clear: () => command('clear'),
    set: (changes) => command('set', changes),
    putSyntheticImage: (image) => command('putSyntheticImage', image),
    close: async () => {
      child.kill('SIGTERM');
      await gone;
    },
  };
}
