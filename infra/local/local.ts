import { access, constants } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { MirrorError } from '../../functions/errors.ts';

import type { Child } from '../../test/stand-ins/child.ts';
import { differences, verifyAll } from './convergence.ts';
import type { LocalOptions } from './options.ts';
import { Progress } from './progress.ts';
import { TOPICS } from '../../test/stand-ins/pubsub/lanes.ts';
import { startTopology, type Topology } from './topology.ts';
import { bytesInWords, createView, tableLines, type View, type ViewOutput } from './view.ts';

/** Exit code of every entry for bad usage. */
const USAGE_EXIT_CODE = 2;
/** How often convergence is looked at, in milliseconds. */
const LOOK_MS = 500;
/** The longest that a timer of Node takes, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Without new events for so long, a cluster's published objects are all there are: in milliseconds. */
const QUIET_MS = 5000;

/**
 * Runs the whole topology until the signal aborts or, with `--once`, until everything has converged
 * and has been verified.
 *
 * @returns the exit code: 0, or 1 when something failed; the reason is written to `output`
 * @throws MirrorError `KUBECONFIG_INVALID` when `--kubeconfig` cannot be read, `OPTION_INVALID` when a part
 *   refuses what it was started with
 */
export async function runLocal(
  options: LocalOptions,
  output: ViewOutput,
  signal: AbortSignal,
): Promise<number> {
  await requireReadable(options.kubeconfig);
  const run = new LocalRun(options, output, signal);
  return run.run();
}

async function requireReadable(kubeconfig: string | undefined): Promise<void> {
  if (kubeconfig === undefined) return;
  try {
    await access(kubeconfig, constants.R_OK);
  } catch (error) {
    throw new MirrorError('KUBECONFIG_INVALID', `--kubeconfig ${kubeconfig} cannot be read`, {
      field: '--kubeconfig',
      cause: error,
    });
  }
}

/** One run from the start of the topology to its end. */
class LocalRun {
  readonly #options: LocalOptions;
  readonly #output: ViewOutput;
  readonly #progress = new Progress();
  readonly #view: View;
  readonly #ending = new AbortController();
  #death: string | undefined;
  /** Why a part refused what it was started with; its line names the option. */
  #refusal: string | undefined;
  #lastMessageMs = Date.now();
  /** ImageRepositories that the bridge found in the cluster. */
  #watchedObjects: number | undefined;

  constructor(options: LocalOptions, output: ViewOutput, signal: AbortSignal) {
    this.#options = options;
    this.#output = output;
    this.#view = createView(options.logs ? { write: (text) => output.write(text) } : output);
    signal.addEventListener('abort', () => {
      this.#ending.abort();
    });
    if (signal.aborted) this.#ending.abort();
  }

  async run(): Promise<number> {
    this.#output.write('Starting…\n');
    const topology = await startTopology(this.#options, {
      onLine: (child, line, raw) => {
        if (this.#options.logs) this.#output.write(`${child}: ${raw}\n`);
        if (child === 'bridge' && typeof line['objects'] === 'number') {
          this.#watchedObjects = line['objects'];
        }
        this.#show(this.#progress.logged(line));
      },
      onMessage: (topic, message) => {
        this.#lastMessageMs = Date.now();
        if (topic === TOPICS.deadLetter) this.#progress.deadLettered();
        else this.#show(this.#progress.published(message));
      },
      onDeath: (child, code) => {
        this.#died(child, code);
      },
    });
    try {
      for (const place of topology.places) this.#output.write(`${place}\n`);
      this.#output.write('\n');
      const exitCode = this.#options.once
        ? await this.#once(topology)
        : await this.#untilStopped(topology);
      if (this.#refusal !== undefined) throw new MirrorError('OPTION_INVALID', this.#refusal);
      return exitCode;
    } finally {
      this.#view.close();
      await topology.close();
      if (this.#death !== undefined && this.#refusal === undefined) {
        this.#output.write(`${this.#death}\n`);
      }
    }
  }

  /** Pushes a new tag now and then until somebody ends it. */
  async #untilStopped(topology: Topology): Promise<number> {
    const { newTagIntervalMs } = this.#options;
    // Without new tags there is nothing to do but to be there.
    const intervalMs = newTagIntervalMs === 0 ? MAX_TIMER_MS : newTagIntervalMs;
    while (await this.#pause(intervalMs)) {
      if (newTagIntervalMs > 0) await this.#release(topology);
    }
    return this.#death === undefined ? 0 : 1;
  }

  /** Mirrors what is there, then a new tag of every image; verifies all; exit code. */
  async #once(topology: Topology): Promise<number> {
    const deadlineMs = Date.now() + this.#options.timeoutMs;
    if (!(await this.#converge(topology, deadlineMs))) return 1;
    if (topology.source !== undefined && this.#options.newTagIntervalMs > 0) {
      for (const _image of topology.source.images) await this.#release(topology);
      if (!(await this.#converge(topology, deadlineMs))) return 1;
    }
    this.#view.close();
    return this.#verify(topology);
  }

  async #release(topology: Topology): Promise<void> {
    if (topology.source === undefined) return;
    const { image, tag } = await topology.source.release();
    this.#view.note(`new tag  ${image}:${tag}`);
  }

  /** Whether every image that is to be mirrored has all its tags at the destination, in time. */
  async #converge(topology: Topology, deadlineMs: number): Promise<boolean> {
    for (;;) {
      const missing = await this.#missing(topology);
      if (missing.length === 0) return true;
      if (this.#ending.signal.aborted || Date.now() > deadlineMs) {
        const why = this.#death !== undefined ? 'ended' : 'not converged in time';
        if (this.#refusal !== undefined) return false;
        this.#output.write(`\n${why}:\n${missing.map((line) => `  ${line}\n`).join('')}`);
        return false;
      }
      await this.#pause(LOOK_MS);
    }
  }

  /** What still lacks, a line each. */
  async #missing(topology: Topology): Promise<readonly string[]> {
    const { images } = this.#progress;
    const expected = topology.source?.images ?? this.#options.sources;
    const unpublished = expected.filter((image) => !this.#isPublished(image));
    if (unpublished.length > 0) return unpublished.map((image) => `${image} was not published`);
    if (expected.length === 0) {
      const waits = this.#clusterWaits();
      if (waits !== undefined) return [waits];
    }
    const lines = [];
    for (const progress of images.values()) lines.push(...(await differences(progress, topology)));
    return lines;
  }

  /**
   * Why a cluster's objects cannot all have been published yet; undefined: they have. Only the bridge
   * knows how many there are; those that no scan has found anything for are never published.
   */
  #clusterWaits(): string | undefined {
    if (this.#watchedObjects === undefined) return 'the bridge does not watch the cluster yet';
    const published = this.#progress.images.size;
    if (published === 0) return `none of ${this.#watchedObjects} ImageRepositories was published`;
    const quiet = Date.now() - this.#lastMessageMs >= QUIET_MS;
    return published >= this.#watchedObjects || quiet ? undefined : 'events still arrive';
  }

  /** By its canonical name or as the user wrote it. */
  #isPublished(image: string): boolean {
    return [...this.#progress.images.keys()].some(
      (name) => name === image || name.endsWith(`/${image}`),
    );
  }

  async #verify(topology: Topology): Promise<number> {
    this.#output.write(
      '\nVerifying: every manifest and blob is read back from the destination and hashed…\n',
    );
    const { lines, problems } = await verifyAll([...this.#progress.images.values()], topology);
    for (const line of lines) this.#output.write(`${line}\n`);
    const rows = [...this.#progress.images.keys()].map((image) => this.#progress.row(image));
    const known = rows.filter((row) => row !== undefined);
    this.#output.write(`\n${tableLines(known).join('\n')}\n\n`);
    const failures = [...this.#progress.images.values()].flatMap(({ image, failures: codes }) =>
      codes.map((code) => `${image}: ${code}`),
    );
    const dead = this.#progress.deadLetters;
    const wrong = [
      ...problems,
      ...failures,
      ...(dead === 0 ? [] : [`${dead} messages in the dead-letter topic`]),
    ];
    const moved = known.reduce((sum, { movedBytes }) => sum + movedBytes, 0);
    for (const line of wrong) this.#output.write(`WRONG  ${line}\n`);
    this.#output.write(
      wrong.length === 0
        ? `Everything is mirrored: ${known.length} repositories, ${bytesInWords(moved)} moved.\n`
        : `${wrong.length} problems.\n`,
    );
    return wrong.length === 0 ? 0 : 1;
  }

  #show(image: string | undefined): void {
    const row = image === undefined ? undefined : this.#progress.row(image);
    if (row !== undefined && !this.#options.logs) this.#view.show(row);
  }

  #died(child: Child, code: number): void {
    if (code === USAGE_EXIT_CODE)
      this.#refusal = child.lastLines.at(-1) ?? `${child.name}: bad option`;
    this.#death = [`${child.name} ended with exit code ${code}:`, ...child.lastLines].join('\n  ');
    this.#ending.abort();
  }

  /** Waits; false at once when the run ends meanwhile. */
  async #pause(ms: number): Promise<boolean> {
    return sleep(ms, true, { signal: this.#ending.signal }).catch(() => false);
  }
}
