import { errorText, MirrorError } from '../errors.ts';
import { refuseOption, type Option, type OptionTable, type OptionValues } from './option.ts';

/**
 * Reads a table's options from the command line and the environment; flag beats variable beats
 * default. An empty variable counts as unset; whatever else holds no value is refused.
 *
 * @param argv arguments after the program's name; `--flag value`, `--flag=value`, `--switch`
 * @throws MirrorError `OPTION_INVALID` with the option's name as field, for an unknown or malformed one
 */
export function parseOptions<T extends OptionTable>(
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): OptionValues<T> {
  const given = flagsOf(table, argv);
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(table)) {
    const [texts, source] = textsOf(name, option, given, env);
    try {
      values[name] = option.read(texts);
    } catch (error) {
      throw new MirrorError('OPTION_INVALID', `${source} ${errorText(error)}`, { field: source });
    }
  }
  return values as OptionValues<T>;
}

/**
 * The options that were given, by their names in the table: how each was written, `--flag` or `VARIABLE`.
 *
 * @param argv as {@link parseOptions}, which has accepted them
 */
export function givenOptions<T extends OptionTable>(
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<keyof T, string> {
  const flags = flagsOf(table, argv);
  const given = new Map<keyof T, string>();
  for (const [name, option] of Object.entries(table)) {
    const variable = option.env !== undefined && (env[option.env] ?? '') !== '';
    if (flags.has(name)) given.set(name, option.flag ?? name);
    else if (variable) given.set(name, option.env ?? name);
  }
  return given;
}

/**
 * Refuses the first of these options that was given: who gives one expects that it does something.
 * @param reason what the option lacks, after its name: `is for --once`
 * @throws MirrorError `OPTION_INVALID` with the option as it was written
 */
export function refuseWithoutEffect<N>(
  given: ReadonlyMap<N, string>,
  options: Iterable<N>,
  reason: string,
): void {
  for (const option of options) {
    const written = given.get(option);
    if (written !== undefined) refuseOption(written, `has no effect: it ${reason}`);
  }
}

/** The texts an option was given and the name under which (for the message). */
function textsOf(
  name: string,
  option: Option<unknown>,
  given: ReadonlyMap<string, readonly string[]>,
  env: Readonly<Record<string, string | undefined>>,
): [readonly string[], string] {
  const fromFlag = given.get(name);
  if (fromFlag !== undefined) return [fromFlag, option.flag ?? name];
  const fromEnv = option.env === undefined ? undefined : env[option.env];
  const split = (value: string): readonly string[] => (option.repeatable ? words(value) : [value]);
  if (fromEnv !== undefined && fromEnv !== '') {
    const texts = split(fromEnv);
    // A list of nothing would mean what no list means: any source, for instance.
    if (texts.every((text) => text.trim() === '')) throw withoutValue(option.env ?? name);
    return [texts, option.env ?? name];
  }
  const fallback = option.default === undefined ? [] : split(option.default);
  return [fallback, option.flag ?? option.env ?? name];
}

/** Values of a list in one text: one a line where there are lines, else separated by commas. */
function words(value: string): readonly string[] {
  return value
    .split(value.includes('\n') ? '\n' : ',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

function flagsOf(table: OptionTable, argv: readonly string[]): Map<string, string[]> {
  const byFlag = new Map(
    Object.entries(table).flatMap(([name, option]) =>
      [option.flag, option.short]
        .filter((spelling) => spelling !== undefined)
        .map((spelling) => [spelling, { name, option }] as const),
    ),
  );
  const given = new Map<string, string[]>();
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? '';
    const [written = '', ...rest] = argument.split('=');
    const found = byFlag.get(written);
    if (found === undefined) throw unknownOption(argument, [...byFlag.keys()]);
    const { name, option } = found;
    let value: string | undefined = rest.length > 0 ? rest.join('=') : undefined;
    if (value === undefined && option.placeholder === '') value = 'true';
    value ??= valueAfter(argv[++index], byFlag);
    if (value === undefined || value.trim() === '') throw withoutValue(written);
    const before = given.get(name);
    if (before !== undefined && !option.repeatable) {
      throw new MirrorError('OPTION_INVALID', `${written} is given twice`, { field: written });
    }
    given.set(name, [...(before ?? []), value]);
  }
  return given;
}

/** What stands after a flag; another flag is no value of it. */
function valueAfter(
  next: string | undefined,
  byFlag: ReadonlyMap<string, unknown>,
): string | undefined {
  return next !== undefined && byFlag.has(flagIn(next)) ? undefined : next;
}

/** The flag of `--flag` and of `--flag=value`. */
function flagIn(argument: string): string {
  return argument.replace(/=.*$/s, '');
}

function withoutValue(name: string): MirrorError {
  return new MirrorError('OPTION_INVALID', `${name} wants a value`, { field: name });
}

function unknownOption(argument: string, flags: readonly string[]): MirrorError {
  const written = flagIn(argument);
  const near = flags.find((flag) => flag.startsWith(written) || written.startsWith(flag));
  const hint = near === undefined ? '--help lists the options' : `did you mean ${near}?`;
  return new MirrorError('OPTION_INVALID', `${written} is no option: ${hint}`, { field: written });
}
