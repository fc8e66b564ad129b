import type { PubSub } from '@google-cloud/pubsub';

/** The Pub/Sub client of a process: made at first use, since its loading takes half a second. */
export interface QueueClient {
  /** The client. */
  get(): Promise<PubSub>;
  /** Sends what is still buffered and closes the connections; nothing where there are none. */
  close(): Promise<void>;
}

/**
 * A client that is loaded when it is first needed. It finds its credentials by itself (or the
 * emulator, by `PUBSUB_EMULATOR_HOST`).
 * @param projectId project of topics and subscriptions that are named without one
 */
export function queueClient(projectId: string | undefined): QueueClient {
  let client: Promise<PubSub> | undefined;
  return {
    get: async () => {
      client ??= load(projectId);
      return client;
    },
    close: async () => {
      if (client === undefined) return;
      const opened = await client;
      await opened.close();
    },
  };
}

async function load(projectId: string | undefined): Promise<PubSub> {
  const library = await import('./library.ts');
  return new library.PubSub(projectId === undefined ? {} : { projectId });
}
