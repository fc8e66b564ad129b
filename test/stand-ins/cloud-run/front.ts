import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';

import { closed, listen } from '../http.ts';
import type { Instance, StartInstance } from './instance.ts';

/** A Cloud Run service as it is deployed. */
export interface RunFrontOptions {
  readonly start: StartInstance;
  /** `max_instance_count`. Default 1. */
  readonly maxInstances?: number;
  /** `max_instance_request_concurrency`. Default 4. */
  readonly concurrency?: number;
  /** Request timeout: the client gets 504, the container goes on. Default 300 s, the product's. */
  readonly timeoutMs?: number;
}

/** A running service behind its front. */
export interface RunFront {
  /** Where requests go. */
  readonly url: string;
  /** Answers by status; 429: every instance was full, 503: the instance went away, 504: too late. */
  readonly answers: ReadonlyMap<number, number>;
  /** Requests under way. */
  readonly inFlight: number;
  /** Instances that take requests. */
  readonly instances: readonly Instance[];
  /** Takes an instance out of service: no new requests, SIGTERM, SIGKILL after 10 s. */
  stop(instance: Instance): Promise<void>;
  /** Kills an instance; its requests get 503. */
  kill(instance: Instance): Promise<void>;
  /** Stops all. */
  close(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 300_000;

/** Room for requests at an instance that may still be starting. */
interface Slot {
  readonly starting: Promise<Instance>;
  instance: Instance | undefined;
  /** Requests that it works on. */
  inFlight: number;
}

/**
 * Starts a stand-in of Cloud Run's front end: it starts instances as requests come, gives each no
 * more than its concurrency, answers 429 when all are full, and cuts what takes too long
 * (cloud.google.com/run/docs/about-concurrency, /configuring/request-timeout).
 */
export async function startRunFront(options: RunFrontOptions): Promise<RunFront> {
  const { maxInstances = 1, concurrency = 4, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const slots = new Set<Slot>();
  const answers = new Map<number, number>();
  const agent = new Agent({ keepAlive: true });
  let inFlight = 0;

  function startSlot(): Slot {
    const slot: Slot = { starting: options.start(), instance: undefined, inFlight: 0 };
    slots.add(slot);
    slot.starting.then(
      async (instance) => {
        slot.instance = instance;
        await instance.gone;
        slots.delete(slot);
      },
      () => slots.delete(slot),
    );
    return slot;
  }

  /** The least busy slot with room, that of a new instance where all are full; undefined: no more may start. */
  function takeSlot(): Slot | undefined {
    const [idlest] = [...slots].sort((a, b) => a.inFlight - b.inFlight);
    if (idlest !== undefined && idlest.inFlight < concurrency) return idlest;
    return slots.size < maxInstances ? startSlot() : undefined;
  }

  function takeOut(instance: Instance): void {
    for (const slot of slots) if (slot.instance === instance) slots.delete(slot);
  }

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<number> {
    const slot = takeSlot();
    if (slot === undefined) return answer(response, 429, 'Rate exceeded.');
    slot.inFlight += 1;
    try {
      const { url } = await slot.starting;
      return await exchange(url, request, response, agent, timeoutMs, () => {
        slot.inFlight -= 1;
      });
    } catch {
      return answer(response, 503, 'The service is unavailable.');
    }
  }

  const server = createServer((request, response) => {
    inFlight += 1;
    void forward(request, response).then((status) => {
      inFlight -= 1;
      answers.set(status, (answers.get(status) ?? 0) + 1);
    });
  });
  return {
    url: `http://127.0.0.1:${await listen(server)}/`,
    answers,
    get inFlight() {
      return inFlight;
    },
    get instances() {
      return [...slots].flatMap(({ instance }) => (instance === undefined ? [] : [instance]));
    },
    stop: async (instance) => {
      takeOut(instance);
      await instance.stop();
    },
    kill: async (instance) => {
      takeOut(instance);
      instance.kill();
      await instance.gone;
    },
    close: async () => {
      await closed(server);
      // Also those that are still starting; where that fails there is nothing to stop.
      await Promise.allSettled([...slots].map(async ({ starting }) => (await starting).stop()));
      agent.destroy();
    },
  };
}

/**
 * One request to an instance and back. `onEnd` is called when the instance is done with it, which
 * may be after the client was told 504.
 */
async function exchange(
  instanceUrl: string,
  request: IncomingMessage,
  response: ServerResponse,
  agent: Agent,
  timeoutMs: number,
  onEnd: () => void,
): Promise<number> {
  return new Promise((resolve) => {
    const upstream = httpRequest(new URL(request.url ?? '/', instanceUrl), {
      method: request.method,
      headers: request.headers,
      agent,
    });
    let over = false;
    const end = (): void => {
      if (!over) onEnd();
      over = true;
    };
    const timeout = setTimeout(() => {
      resolve(answer(response, 504, 'upstream request timeout'));
    }, timeoutMs);
    upstream.once('response', (answered) => {
      clearTimeout(timeout);
      answered.once('end', end);
      answered.once('close', end);
      if (response.headersSent) {
        answered.resume();
        return;
      }
      response.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(response);
      answered.once('end', () => {
        resolve(answered.statusCode ?? 502);
      });
    });
    upstream.once('error', () => {
      clearTimeout(timeout);
      end();
      resolve(answer(response, 503, 'The service is unavailable.'));
    });
    request.pipe(upstream);
  });
}

function answer(response: ServerResponse, status: number, text: string): number {
  if (!response.headersSent && !response.destroyed) {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(`${text}\n`);
  }
  return status;
}
