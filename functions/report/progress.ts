import { bytesText } from './report-lines.ts';

/** Shows how far a run is, below the lines that it prints. */
export interface Progress {
  /** A tag is decided. */
  tag(): void;
  /** Bytes were sent. */
  bytes(count: number): void;
  /** Prints a line above the progress, by `to` where it goes elsewhere than the run's lines. */
  line(text: string, to?: (text: string) => void): void;
  /** Removes the progress and shows it no more. */
  end(): void;
}

/** Where progress is shown; `process.stderr` fits. */
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** How often the line is drawn anew: often enough to live, seldom enough to cost nothing. */
const DRAW_INTERVAL_MS = 200;
/** Erases the line and returns to its beginning (ECMA-48, EL). */
const ERASE = '\r\u001b[2K';

/** Time between two lines of progress in a log, in milliseconds. */
const LOG_INTERVAL_MS = 30_000;

/**
 * A line that tells tags, bytes and rate while a terminal looks on; elsewhere the same is logged
 * every 30 s.
 * @param print takes the lines of the run
 * @param terminal takes the progress
 * @param log takes the progress where there is no terminal; absent: it is not told
 */
export function progressLine(
  print: (line: string) => void,
  terminal: Terminal,
  clock: () => number,
  log?: (text: string) => void,
): Progress {
  const startedAtMs = clock();
  let [tags, sentBytes, shown] = [0, 0, false];

  function sentence(): string {
    const elapsedMs = Math.max(1, clock() - startedAtMs);
    const rate = bytesText(Math.round((sentBytes * 1000) / elapsedMs));
    return `${tags} tags, ${bytesText(sentBytes)} sent, ${rate}/s`;
  }

  function draw(): void {
    terminal.write(`${ERASE}${sentence().slice(0, (terminal.columns ?? 80) - 1)}`);
    shown = true;
  }

  function erase(): void {
    if (shown) terminal.write(ERASE);
    shown = false;
  }

  const timer =
    terminal.isTTY === true
      ? setInterval(draw, DRAW_INTERVAL_MS)
      : setInterval(() => log?.(sentence()), LOG_INTERVAL_MS);
  timer.unref();
  return {
    tag: () => {
      tags += 1;
    },
    bytes: (count) => {
      sentBytes += count;
    },
    line: (text, to = print) => {
      erase();
      to(text);
    },
    end: () => {
      clearInterval(timer);
      erase();
    },
  };
}
