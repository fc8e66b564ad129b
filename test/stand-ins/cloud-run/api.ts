import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import { closed, listen, readBody } from '../http.ts';
import { invalid, Refusal } from '../google-apis/refusal.ts';
import { Execution, type JobTemplate } from './execution.ts';

/** How a Run API is started. */
export interface RunApiOptions {
  readonly jobs: readonly JobTemplate[];
  /** Whether an access token is one that the metadata server gave out. */
  readonly isToken: (token: string) => boolean;
}

/** A running stand-in of the Cloud Run Admin API v2: `jobs.run` and the list of executions. */
export interface LocalRunApi {
  /** `http://127.0.0.1:PORT`: the value of `RUN_API_ENDPOINT`. */
  readonly url: string;
  /** All executions, oldest first. */
  readonly executions: readonly Execution[];
  /** Answers the next requests with this refusal. */
  fail(refusal: Refusal, times: number): void;
  /** Resolves when no execution waits or runs. */
  idle(): Promise<void>;
  /** Cancels what runs, forgets what waits, and closes. */
  close(): Promise<void>;
}

/** Largest body that is read: a run request holds one variable of 32 KiB at most, escaped. */
const MAX_BODY_BYTES = 256 * 1024;
/** Longest value of a container's variable, bytes (cloud.google.com/run/quotas, "Environment variables"). */
const MAX_VARIABLE_BYTES = 32 * 1024;
/** Largest page of executions. */
const MAX_PAGE_SIZE = 100;

/** Starts the stand-in on a free port of 127.0.0.1. */
export async function startRunApi(options: RunApiOptions): Promise<LocalRunApi> {
  const executions: Execution[] = [];
  const running = new Map<Execution, Promise<void>>();
  const failures: Refusal[] = [];
  let closing = false;

  /** Starts what waits, in order, as far as each job's concurrency allows. */
  function startWaiting(): void {
    if (closing) return;
    for (const execution of executions) {
      const { job } = execution;
      const busy = [...running.keys()].filter((other) => other.job === job).length;
      if (execution.state !== 'waiting' || busy >= job.concurrency) continue;
      const ended = execution.run().finally(() => {
        running.delete(execution);
        startWaiting();
      });
      running.set(execution, ended);
    }
  }

  async function idle(): Promise<void> {
    while (running.size > 0) await Promise.all(running.values());
  }

  async function answer(request: IncomingMessage): Promise<object> {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    const [, token] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined || !options.isToken(token)) {
      throw new Refusal('UNAUTHENTICATED', 'Request had invalid authentication credentials.');
    }
    const url = new URL(request.url ?? '/', 'http://run.local');
    const [, name = '', rest = ''] = /^\/v2\/(.+?)(:run|\/executions)$/.exec(url.pathname) ?? [];
    const job = options.jobs.find((each) => each.name === name);
    if (job !== undefined && request.method === 'POST' && rest === ':run') {
      const execution = new Execution(job, executions.length, variablesOf(await bodyOf(request)));
      executions.push(execution);
      startWaiting();
      return operationOf(execution);
    }
    if (job !== undefined && request.method === 'GET' && rest === '/executions') {
      return page(
        executions.filter((each) => each.job === job),
        url.searchParams,
      );
    }
    throw new Refusal('NOT_FOUND', `Resource '${url.pathname}' was not found.`);
  }

  const server = createServer((request, response) => {
    answer(request).then(
      (body) => {
        send(response, 200, body);
      },
      (error: unknown) => {
        if (error instanceof Refusal) send(response, error.code, error.body);
        else response.destroy(error instanceof Error ? error : undefined);
      },
    );
  });
  return {
    url: `http://127.0.0.1:${await listen(server)}`,
    executions,
    fail: (refusal, times) => {
      failures.push(...Array.from({ length: times }, () => refusal));
    },
    idle,
    close: async () => {
      closing = true;
      for (const execution of running.keys()) execution.cancel();
      await idle();
      await closed(server);
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const bytes = await readBody(request, MAX_BODY_BYTES, () => invalid('body too large'));
  const text = bytes.toString('utf8');
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    throw invalid('Invalid JSON payload received.');
  }
}

/**
 * The variables of a `jobs.run` (RunJobRequest.Overrides, Cloud Run Admin API v2). Overrides that the
 * project does not use (arguments, tasks, timeout) are refused like unknown ones.
 */
function variablesOf(body: unknown): Readonly<Record<string, string>> {
  const { overrides = {} } = fields(body, 'request', ['overrides']);
  const { containerOverrides } = fields(overrides, 'overrides', ['containerOverrides']);
  const containers = list(containerOverrides, 'overrides.containerOverrides');
  if (containers.length > 1) throw invalid('overrides.containerOverrides: the job has 1 container');
  const { env } = fields(containers[0] ?? {}, 'overrides.containerOverrides[0]', ['env']);
  const variables = list(env, 'env').map((entry, index) => {
    const { name, value } = fields(entry, `env[${index}]`, ['name', 'value']);
    if (typeof name !== 'string' || name === '') throw invalid(`env[${index}].name: is required`);
    if (typeof value !== 'string') throw invalid(`env[${index}].value: wants a text`);
    if (/^(PORT|K_.*|CLOUD_RUN_.*)$/.test(name)) throw invalid(`env: ${name} is reserved`);
    if (Buffer.byteLength(value) > MAX_VARIABLE_BYTES) {
      throw invalid(`env: ${name} is longer than ${MAX_VARIABLE_BYTES} bytes`);
    }
    return [name, value] as const;
  });
  return Object.fromEntries(variables);
}

function fields(
  value: unknown,
  at: string,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid(`${at}: wants an object`);
  }
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(`Unknown name "${unknown}" at '${at}'`);
  return value as Readonly<Record<string, unknown>>;
}

function list(value: unknown, at: string): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalid(`${at}: wants an array`);
  return value as readonly unknown[];
}

/** `run` answers with a long-running operation whose metadata is the execution. */
function operationOf(execution: Execution): object {
  return {
    name: execution.name.replace(/\/jobs\/.*\//, '/operations/'),
    metadata: {
      '@type': 'type.googleapis.com/google.cloud.run.v2.Execution',
      ...execution.resource(),
    },
    done: false,
  };
}

/** Newest first; the token of the next page is a number of executions to skip. */
function page(executions: readonly Execution[], query: URLSearchParams): object {
  const asked = Number(query.get('pageSize') ?? MAX_PAGE_SIZE);
  const size = asked > 0 ? Math.min(asked, MAX_PAGE_SIZE) : MAX_PAGE_SIZE;
  const skip = Number(query.get('pageToken') ?? 0);
  const shown = executions.toReversed().slice(skip, skip + size);
  return {
    ...(shown.length === 0 ? {} : { executions: shown.map((each) => each.resource()) }),
    ...(skip + size < executions.length ? { nextPageToken: String(skip + size) } : {}),
  };
}

function send(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': String(bytes.length),
  });
  response.end(bytes);
}
