import type { Overrides } from './overrides.ts';

/** A task of a job under way: one container, run to its end. */
export interface Task {
  /** Its exit code; a signal counts as 128 and more. */
  readonly ended: Promise<number>;
  /** SIGTERM, and SIGKILL 10 s later (cloud.google.com/run/docs/container-contract). */
  stop(): void;
}

/** Starts the job's container with these variables and arguments. */
export type StartTask = (
  env: Readonly<Record<string, string>>,
  args: readonly string[] | undefined,
) => Task;

/** A job as it is deployed. */
export interface JobTemplate {
  /** `projects/P/locations/L/jobs/J`. */
  readonly name: string;
  /** Time of one attempt in milliseconds. Default of the product: 10 minutes. */
  readonly taskTimeoutMs: number;
  /** Attempts after the first. Default of the product: 3. */
  readonly maxRetries: number;
  /** Most executions under way; more wait. The product's quota is per region. */
  readonly concurrency: number;
  readonly start: StartTask;
}

/** One execution of a job: its task is tried again until it succeeds or no attempt is left. */
export class Execution {
  readonly name: string;
  readonly createTime: string;
  readonly #template: JobTemplate;
  readonly #overrides: Overrides;
  readonly #clock: () => number;
  #startTime: string | undefined;
  #completionTime: string | undefined;
  #succeeded = false;
  #retried = 0;
  #task: Task | undefined;
  #cancelled = false;

  constructor(template: JobTemplate, overrides: Overrides, identity: string, clock: () => number) {
    this.name = `${template.name}/executions/${identity}`;
    this.#template = template;
    this.#overrides = overrides;
    this.#clock = clock;
    this.createTime = new Date(clock()).toISOString();
  }

  /** Whether it succeeded; false while it has not ended. */
  get succeeded(): boolean {
    return this.#succeeded;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#completionTime !== undefined;
  }

  /** Runs attempts until one exits 0 or none is left. */
  async run(): Promise<void> {
    this.#startTime = this.#now();
    for (let attempt = 0; attempt <= this.#template.maxRetries && !this.#cancelled; attempt++) {
      this.#retried = attempt;
      if ((await this.#attempt(attempt)) === 0) {
        this.#succeeded = true;
        break;
      }
    }
    this.#completionTime = this.#now();
  }

  /** Ends it, whatever it does. */
  cancel(): void {
    this.#cancelled = true;
    this.#task?.stop();
  }

  async #attempt(attempt: number): Promise<number> {
    const [job, execution] = [this.#template.name, this.name].map((name) => name.split('/').pop());
    const task = this.#template.start(
      {
        CLOUD_RUN_JOB: job ?? '',
        CLOUD_RUN_EXECUTION: execution ?? '',
        CLOUD_RUN_TASK_INDEX: '0',
        CLOUD_RUN_TASK_COUNT: '1',
        CLOUD_RUN_TASK_ATTEMPT: String(attempt),
        ...this.#overrides.env,
      },
      this.#overrides.args,
    );
    this.#task = task;
    const timeout = setTimeout(() => {
      task.stop();
    }, this.#overrides.timeoutMs ?? this.#template.taskTimeoutMs);
    try {
      return await task.ended;
    } finally {
      clearTimeout(timeout);
      this.#task = undefined;
    }
  }

  /** As the API shows it (Execution, Cloud Run Admin API v2): the parts that a caller reads. */
  resource(): unknown {
    const running = this.#startTime !== undefined && !this.ended;
    return {
      name: this.name,
      job: this.#template.name.split('/').pop(),
      createTime: this.createTime,
      ...(this.#startTime === undefined ? {} : { startTime: this.#startTime }),
      ...(this.#completionTime === undefined ? {} : { completionTime: this.#completionTime }),
      taskCount: 1,
      parallelism: 1,
      runningCount: running ? 1 : 0,
      succeededCount: this.#succeeded ? 1 : 0,
      failedCount: this.ended && !this.#succeeded && !this.#cancelled ? 1 : 0,
      cancelledCount: this.#cancelled ? 1 : 0,
      retriedCount: this.#retried,
      template: {
        maxRetries: this.#template.maxRetries,
        containers: [
          {
            image: 'imagerepo-mirror',
            ...(this.#overrides.args === undefined ? {} : { args: this.#overrides.args }),
            env: Object.entries(this.#overrides.env).map(([name, value]) => ({ name, value })),
          },
        ],
      },
    };
  }

  #now(): string {
    return new Date(this.#clock()).toISOString();
  }
}
