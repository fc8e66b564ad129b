import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Execution, JobTemplate } from './execution.ts';
import { readOverrides } from './overrides.ts';
import { RunApiRefusal } from './refusal.ts';
import { Schedule } from './schedule.ts';

/** How a Run API is started. */
export interface RunApiOptions {
  readonly jobs: readonly JobTemplate[];
  /** Whether an access token is one that the metadata server gave out. Default: any token is. */
  readonly isToken?: (token: string) => boolean;
  /** Default 0: any free port of 127.0.0.1. */
  readonly port?: number;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: () => number;
}

/** A running stand-in of the Cloud Run Admin API v2: `jobs.run` and the list of executions. */
export interface LocalRunApi {
  /** `http://127.0.0.1:PORT`: the value of `RUN_API_ENDPOINT`. */
  readonly url: string;
  /** All executions, oldest first. */
  readonly executions: readonly Execution[];
  /** `METHOD path` of every request, in order, refused ones too. */
  readonly requests: readonly string[];
  /** Answers the next requests with this refusal. */
  fail(refusal: RunApiRefusal, times: number): void;
  /** Resolves when no execution waits or runs. */
  idle(): Promise<void>;
  /** Cancels what runs and closes. */
  close(): Promise<void>;
}

/** Largest body that is read: a run request holds one variable of 32 KiB at most, escaped. */
const MAX_BODY_BYTES = 256 * 1024;

/** Starts the stand-in. */
export async function startRunApi(options: RunApiOptions): Promise<LocalRunApi> {
  const clock = options.clock ?? Date.now;
  const isToken = options.isToken ?? ((token: string): boolean => token !== '');
  const schedule = new Schedule(clock);
  const requests: string[] = [];
  const failures: RunApiRefusal[] = [];

  async function answer(request: IncomingMessage): Promise<unknown> {
    const url = new URL(request.url ?? '/', 'http://run.local');
    requests.push(`${request.method ?? ''} ${url.pathname}`);
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    authorize(request, isToken);
    const [, resource = '', verb] = /^\/v2\/([^:]+?)(?::(\w+))?$/.exec(url.pathname) ?? [];
    const job = options.jobs.find(
      ({ name }) => resource === name || resource.startsWith(`${name}/`),
    );
    if (job === undefined) throw notFound(resource);
    const rest = resource.slice(job.name.length);
    if (request.method === 'POST' && verb === 'run' && rest === '') {
      const overrides = readOverrides(await bodyOf(request));
      return operationOf(job, schedule.add(job, overrides));
    }
    if (request.method === 'GET' && verb === undefined && rest === '/executions') {
      return page(
        schedule.executions.filter(({ name }) => name.startsWith(`${job.name}/`)),
        url,
      );
    }
    const one = schedule.executions.find(({ name }) => name === resource);
    if (request.method === 'GET' && verb === undefined && one !== undefined) return one.resource();
    throw notFound(resource);
  }

  const server = createServer((request, response) => {
    answer(request).then(
      (body) => {
        send(response, 200, body);
      },
      (error: unknown) => {
        if (error instanceof RunApiRefusal) send(response, error.httpStatus, error.body);
        else response.destroy(error instanceof Error ? error : undefined);
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    executions: schedule.executions,
    requests,
    fail: (refusal, times) => {
      failures.push(...Array.from({ length: times }, () => refusal));
    },
    idle: async () => schedule.idle(),
    close: async () => {
      await schedule.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function authorize(request: IncomingMessage, isToken: (token: string) => boolean): void {
  const [, token] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
  if (token === undefined) {
    throw new RunApiRefusal('UNAUTHENTICATED', 'Request is missing required credentials.');
  }
  if (!isToken(token)) {
    throw new RunApiRefusal('UNAUTHENTICATED', 'Request had invalid authentication credentials.');
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_BODY_BYTES) throw new RunApiRefusal('INVALID_ARGUMENT', 'body too large');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    throw new RunApiRefusal('INVALID_ARGUMENT', 'Invalid JSON payload received.');
  }
}

/** `run` answers with a long-running operation whose metadata is the execution. */
function operationOf(job: JobTemplate, execution: Execution): unknown {
  const [, project = '', location = ''] =
    /^projects\/([^/]+)\/locations\/([^/]+)/.exec(job.name) ?? [];
  return {
    name: `projects/${project}/locations/${location}/operations/${execution.name.split('/').pop() ?? ''}`,
    metadata: {
      '@type': 'type.googleapis.com/google.cloud.run.v2.Execution',
      ...(execution.resource() as object),
    },
    done: false,
  };
}

/** Newest first; the token of the next page is a number of executions to skip. */
function page(executions: readonly Execution[], url: URL): unknown {
  const size = Math.min(Number(url.searchParams.get('pageSize') ?? '100') || 100, 100);
  const skip = Number(url.searchParams.get('pageToken') ?? '0');
  const newestFirst = [...executions].reverse();
  const shown = newestFirst.slice(skip, skip + size);
  return {
    ...(shown.length === 0 ? {} : { executions: shown.map((execution) => execution.resource()) }),
    ...(skip + size < newestFirst.length ? { nextPageToken: String(skip + size) } : {}),
  };
}

function notFound(resource: string): RunApiRefusal {
  return new RunApiRefusal('NOT_FOUND', `Resource '${resource}' was not found.`);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': String(bytes.length),
  });
  response.end(bytes);
}
