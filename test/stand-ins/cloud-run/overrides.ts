import { RunApiRefusal } from './refusal.ts';

/** What `jobs.run` may change for one execution (RunJobRequest.Overrides, Cloud Run Admin API v2). */
export interface Overrides {
  readonly args: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly taskCount: number | undefined;
  readonly timeoutMs: number | undefined;
}

/** Longest value of a container's variable, bytes (cloud.google.com/run/quotas, "Environment variables"). */
export const MAX_VARIABLE_BYTES = 32 * 1024;

/** Reads the body of `jobs.run`. @throws RunApiRefusal `INVALID_ARGUMENT`, unknown fields included */
export function readOverrides(body: unknown): Overrides {
  const request = fields(body, 'request', ['overrides', 'validateOnly', 'etag']);
  const overrides = fields(request['overrides'] ?? {}, 'overrides', [
    'containerOverrides',
    'taskCount',
    'timeout',
  ]);
  const containers = list(overrides['containerOverrides'], 'overrides.containerOverrides');
  if (containers.length > 1) throw invalid('overrides.containerOverrides: the job has 1 container');
  const container = fields(containers[0] ?? {}, 'overrides.containerOverrides[0]', [
    'name',
    'args',
    'env',
    'clearArgs',
  ]);
  const args = container['args'] === undefined ? undefined : list(container['args'], 'args');
  if (args?.some((argument) => typeof argument !== 'string') === true) {
    throw invalid('args: wants texts');
  }
  const taskCount = overrides['taskCount'];
  if (taskCount !== undefined && taskCount !== 1) throw invalid('taskCount: only 1 runs here');
  return {
    args: container['clearArgs'] === true ? [] : (args as readonly string[] | undefined),
    env: variables(container['env']),
    taskCount,
    timeoutMs: durationMs(overrides['timeout']),
  };
}

function variables(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    list(value, 'env').map((entry, index) => {
      const { name, value: text } = fields(entry, `env[${index}]`, ['name', 'value']);
      if (typeof name !== 'string' || name === '') throw invalid(`env[${index}].name: is required`);
      if (typeof text !== 'string') throw invalid(`env[${index}].value: wants a text`);
      if (/^(PORT|K_.*|CLOUD_RUN_.*)$/.test(name)) throw invalid(`env: ${name} is reserved`);
      if (Buffer.byteLength(text) > MAX_VARIABLE_BYTES) {
        throw invalid(`env: ${name} is longer than ${MAX_VARIABLE_BYTES} bytes`);
      }
      return [name, text];
    }),
  );
}

function durationMs(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const [, seconds] = typeof value === 'string' ? (/^(\d+)s$/.exec(value) ?? []) : [];
  if (seconds === undefined) throw invalid('timeout: wants seconds such as 600s');
  return Number(seconds) * 1000;
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

function invalid(message: string): RunApiRefusal {
  return new RunApiRefusal('INVALID_ARGUMENT', message);
}
