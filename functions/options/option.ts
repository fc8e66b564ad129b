import { MirrorError } from '../errors.ts';

/** One option: how it is written on the command line and in the environment, and what it means. */
export interface Option<T> {
  /** With leading dashes: `--workers`. Absent: the environment only. */
  readonly flag?: string | undefined;
  /** A second spelling of the flag, one dash and one letter: `-o`. */
  readonly short?: string | undefined;
  /** Environment variable: `WORKERS`. Absent: the command line only. The flag wins over it. */
  readonly env?: string | undefined;
  /** Word for the value in help: `COUNT`. Empty for a boolean, which may stand without a value. */
  readonly placeholder: string;
  /** The default as a user would write it; undefined: none, and `read` sees no texts. */
  readonly default: string | undefined;
  /** One sentence for help and the README. */
  readonly sentence: string;
  /** May be given several times; the environment variable then holds one value a line or comma. */
  readonly repeatable: boolean;
  /** Texts as written (one, or several where repeatable) to the value; throws an Error saying what is wrong. */
  readonly read: (texts: readonly string[]) => T;
}

/** An option table: name in code → option. */
export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The values that a table's options have. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never;
};

interface Words {
  readonly flag?: string;
  readonly short?: string;
  readonly env?: string;
  readonly placeholder?: string;
  readonly sentence: string;
}

/** A text. */
export function text<const D extends string | undefined = undefined>(
  words: Words & { readonly default?: D; readonly check?: (value: string) => void },
): Option<D extends string ? string : string | undefined> {
  return {
    ...shape(words, words.default),
    read: (texts) => {
      const value = texts[0];
      // A default is right, and to check it may cost a part of the start.
      if (value !== undefined && value !== words.default) words.check?.(value);
      return value as D extends string ? string : string | undefined;
    },
  };
}

/** A whole number from `min` to `max`. */
export function integer(
  words: Words & { readonly default: number; readonly min: number; readonly max: number },
): Option<number> {
  return {
    ...shape({ placeholder: 'N', ...words }, String(words.default)),
    read: ([value = '']) => {
      const number = Number(value);
      if (!/^-?\d+$/.test(value) || number < words.min || number > words.max) {
        throw new Error(`wants a whole number from ${words.min} to ${words.max}, not '${value}'`);
      }
      return number;
    },
  };
}

/**
 * A Go duration such as `12h`, `1m30s` or `750ms`, read as whole milliseconds; `0` is none.
 * `min`, `max`: the shortest and longest that are taken, as a user would write them. Default: none; what
 * becomes a timer wants a `max`, since Node's end at 596h and longer ones fire at once.
 */
export function duration<const D extends string | undefined>(
  words: Words & { readonly default: D; readonly min?: string; readonly max?: string },
): Option<D extends string ? number : number | undefined> {
  const { min = '0', max } = words;
  return {
    ...shape({ placeholder: 'DURATION', ...words }, words.default),
    read: ([value]) => {
      if (value === undefined) return undefined as D extends string ? number : number | undefined;
      const ms = parseDurationMs(value);
      if (ms < parseDurationMs(min)) throw new Error(`wants at least ${min}, not '${value}'`);
      if (max !== undefined && ms > parseDurationMs(max)) {
        throw new Error(`wants at most ${max}, not '${value}'`);
      }
      return ms;
    },
  };
}

/** A switch in Go's manner: `--once`, `--once=false`; in the environment `true` or `false`. */
export function flag(
  words: Omit<Words, 'placeholder'> & { readonly default: boolean },
): Option<boolean> {
  return {
    ...shape({ ...words, placeholder: '' }, String(words.default)),
    read: ([value = '']) => {
      if (['true', '1', 'yes'].includes(value)) return true;
      if (['false', '0', 'no'].includes(value)) return false;
      throw new Error(`wants true or false, not '${value}'`);
    },
  };
}

/** One of a few words. */
export function choice<const C extends string, const D extends C | undefined>(
  words: Words & { readonly choices: readonly C[]; readonly default: D },
): Option<D extends undefined ? C | undefined : C> {
  return {
    ...shape({ placeholder: words.choices.join('|'), ...words }, words.default),
    read: ([value]) => {
      if (value !== undefined && !words.choices.includes(value as C)) {
        throw new Error(`wants one of ${words.choices.join(', ')}, not '${value}'`);
      }
      return value as D extends undefined ? C | undefined : C;
    },
  };
}

/** A list: the flag repeated, or an environment variable with one value a line or comma. */
export function list<T = string>(
  words: Words & {
    /** Comma-separated; the empty text is the empty list. */
    readonly default?: string;
    readonly item?: (value: string) => T;
    /** Of all together. */
    readonly check?: (values: readonly string[]) => void;
  },
): Option<readonly T[]> {
  const read = words.item ?? ((value: string) => value as T);
  return {
    ...shape(words, words.default ?? ''),
    repeatable: true,
    read: (texts) => {
      words.check?.(texts);
      return texts.map(read);
    },
  };
}

/**
 * Whole milliseconds, rounded up, of a Go duration (`time.ParseDuration`, non-negative; `d` is no unit there).
 * @throws Error when the text is none
 */
function parseDurationMs(value: string): number {
  if (value === '0') return 0;
  if (!/^(\d+(\.\d+)?(ns|[u\u00b5\u03bc]s|ms|s|m|h))+$/.test(value)) {
    throw new Error(`wants a duration such as 90s, 10m or 12h, not '${value}'`);
  }
  const unitMs = { ns: 1e-6, us: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  let totalMs = 0;
  // Go takes the micro sign and the Greek letter; as escapes, since Node reads a file of ASCII alone faster.
  const parts = value.replace(/[\u00b5\u03bc]/g, 'u').matchAll(/(\d+(?:\.\d+)?)([a-z]+)/g);
  for (const [, amount, unit] of parts) {
    totalMs += Number(amount) * unitMs[unit as keyof typeof unitMs];
  }
  // To the nanosecond, where Go ends, so that 1.1h is no more than that.
  return Math.ceil(Number(totalMs.toFixed(6)));
}

/**
 * Refuses an option's value after parsing, in the same form as the parser does.
 * @throws MirrorError `OPTION_INVALID`
 */
export function refuseOption(name: string, reason: string): never {
  throw new MirrorError('OPTION_INVALID', `${name} ${reason}`, { field: name });
}

function shape(
  words: Words,
  fallback: string | undefined,
): Pick<
  Option<unknown>,
  'flag' | 'short' | 'env' | 'placeholder' | 'default' | 'sentence' | 'repeatable'
> {
  return {
    flag: words.flag,
    short: words.short,
    env: words.env,
    placeholder: words.placeholder ?? 'TEXT',
    default: fallback,
    sentence: words.sentence,
    repeatable: false,
  };
}
