import { startChild, type LogLine } from '../child.ts';

/** A task of a job under way: one container, run to its end. */
export interface Task {
  /** Its exit code; a signal counts as 128 and more. */
  readonly ended: Promise<number>;
  /** SIGTERM, and SIGKILL 10 s later (cloud.google.com/run/docs/container-contract). */
  stop(): void;
}

/** Starts the job's container with these variables. */
export type StartTask = (env: Readonly<Record<string, string>>) => Task;

/** A job as it is deployed. */
export interface JobTemplate {
  /** `projects/P/locations/L/jobs/J`. */
  readonly name: string;
  /** Time of one attempt in milliseconds. */
  readonly taskTimeoutMs: number;
  /** Attempts after the first. */
  readonly maxRetries: number;
  /** Most executions under way; more wait. The product's quota is per region. */
  readonly concurrency: number;
  readonly start: StartTask;
}

/** One execution of a job: its task is tried again until it succeeds or no attempt is left. */
export class Execution {
  readonly name: string;
  readonly job: JobTemplate;
  readonly createTime = new Date().toISOString();
  readonly #env: Readonly<Record<string, string>>;
  #startTime: string | undefined;
  #completionTime: string | undefined;
  #succeeded = false;
  #retried = 0;
  #task: Task | undefined;
  #cancelled = false;

  /** @param env variables that `jobs.run` gives it */
  constructor(job: JobTemplate, number: number, env: Readonly<Record<string, string>>) {
    const identity = `${shortName(job.name)}-${String(number).padStart(5, '0')}`;
    this.name = `${job.name}/executions/${identity}`;
    this.job = job;
    this.#env = env;
  }

  /** Whether it succeeded; false while it has not ended. */
  get succeeded(): boolean {
    return this.#succeeded;
  }

  get state(): 'waiting' | 'running' | 'ended' {
    if (this.#completionTime !== undefined) return 'ended';
    return this.#startTime === undefined ? 'waiting' : 'running';
  }

  /** Runs attempts until one exits 0 or none is left. */
  async run(): Promise<void> {
    this.#startTime = new Date().toISOString();
    for (let attempt = 0; attempt <= this.job.maxRetries && !this.#cancelled; attempt++) {
      this.#retried = attempt;
      if ((await this.#attempt(attempt)) === 0) {
        this.#succeeded = true;
        break;
      }
    }
    this.#completionTime = new Date().toISOString();
  }

  /** Ends it, whatever it does. */
  cancel(): void {
    this.#cancelled = true;
    this.#task?.stop();
  }

  async #attempt(attempt: number): Promise<number> {
    const task = this.job.start({
      CLOUD_RUN_JOB: shortName(this.job.name),
      CLOUD_RUN_EXECUTION: shortName(this.name),
      CLOUD_RUN_TASK_INDEX: '0',
      CLOUD_RUN_TASK_COUNT: '1',
      CLOUD_RUN_TASK_ATTEMPT: String(attempt),
      ...this.#env,
    });
    this.#task = task;
    const timeout = setTimeout(() => {
      task.stop();
    }, this.job.taskTimeoutMs);
    try {
      return await task.ended;
    } finally {
      clearTimeout(timeout);
      this.#task = undefined;
    }
  }

  /** As the API shows it (Execution, Cloud Run Admin API v2): the parts that a caller reads. */
  resource(): object {
    return {
      name: this.name,
      job: shortName(this.job.name),
      createTime: this.createTime,
      ...(this.#startTime === undefined ? {} : { startTime: this.#startTime }),
      ...(this.#completionTime === undefined ? {} : { completionTime: this.#completionTime }),
      taskCount: 1,
      parallelism: 1,
      runningCount: this.state === 'running' ? 1 : 0,
      succeededCount: this.#succeeded ? 1 : 0,
      failedCount: this.state === 'ended' && !this.#succeeded && !this.#cancelled ? 1 : 0,
      cancelledCount: this.#cancelled ? 1 : 0,
      retriedCount: this.#retried,
      template: {
        maxRetries: this.job.maxRetries,
        containers: [
          {
            image: 'imagerepo-mirror',
            env: Object.entries(this.#env).map(([name, value]) => ({ name, value })),
          },
        ],
      },
    };
  }
}

function shortName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Runs the job's entry as a process of its own, as the product runs its container. */
export function taskProcess(options: {
  /** Path from the project's root: `functions/job.ts`. */
  readonly entry: string;
  /** Variables of the deployed job; those of an execution win. */
  readonly env: Readonly<Record<string, string>>;
  readonly onLine: (line: LogLine, raw: string) => void;
}): StartTask {
  return (env) => {
    const { entry, onLine } = options;
    const child = startChild({ name: 'job', entry, env: { ...options.env, ...env }, onLine });
    return { ended: child.gone, stop: () => void child.stop() };
  };
}
