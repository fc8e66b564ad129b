import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Instance, StartInstance } from './instance.ts';
import { InstancePool } from './pool.ts';

/** A Cloud Run service as it is deployed. */
export interface RunFrontOptions {
  readonly start: StartInstance;
  /** `max_instance_count`. Default 1. */
  readonly maxInstances?: number;
  /** `max_instance_request_concurrency`. Default 4. */
  readonly concurrency?: number;
  /** Request timeout: the client gets 504, the container goes on. Default 300 s, the product's. */
  readonly timeoutMs?: number;
  /** Default 0: any free port of 127.0.0.1. */
  readonly port?: number;
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

/**
 * Starts a stand-in of Cloud Run's front end: it starts instances as requests come, gives each no
 * more than its concurrency, answers 429 when all are full, and cuts what takes too long
 * (cloud.google.com/run/docs/about-concurrency, /configuring/request-timeout).
 */
export async function startRunFront(options: RunFrontOptions): Promise<RunFront> {
  const { maxInstances = 1, concurrency = 4, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const pool = new InstancePool(options.start, maxInstances, concurrency);
  const answers = new Map<number, number>();
  const agent = new Agent({ keepAlive: true });
  let inFlight = 0;

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<number> {
    const slot = pool.take();
    if (slot === undefined) return answer(response, 429, 'Rate exceeded.');
    slot.inFlight += 1;
    try {
      const instance = await slot.instance;
      return await exchange(instance.url, request, response, agent, timeoutMs, () => {
        slot.inFlight -= 1;
      });
    } catch {
      slot.inFlight -= 1;
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
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    answers,
    get inFlight() {
      return inFlight;
    },
    instances: pool.ready,
    stop: async (instance) => {
      await pool.takeOut(instance);
      await instance.stop();
    },
    kill: async (instance) => {
      await pool.takeOut(instance);
      instance.kill();
      await instance.gone;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await pool.stop();
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
