import type { Option, OptionTable } from './option.ts';

/** What stands above and below the options in a help text. */
export interface HelpWords {
  /** One line: the program's name and what it does. */
  readonly title: string;
  /** The command line's forms, one a line. */
  readonly usage: readonly string[];
  /** Paragraphs after the options, such as examples and exit codes. */
  readonly after?: readonly string[];
}

/** The help text of a table, as a man page reads: name, synopsis, options, the rest. */
export function helpText(words: HelpWords, table: OptionTable): string {
  const options = Object.values(table).flatMap((option) => [
    `  ${headOf(option)}`,
    ...wrap(`${option.sentence}${originOf(option)}`, 72).map((line) => `        ${line}`),
  ]);
  return [
    words.title,
    '',
    'Usage:',
    ...words.usage.map((line) => `  ${line}`),
    '',
    'Options:',
    ...options,
    '  --help\n        Print this text and exit.',
    ...(words.after ?? []).flatMap((paragraph) => ['', paragraph]),
    '',
  ].join('\n');
}

/** The README's rows of a table: `| option | environment | default | meaning |`. */
export function markdownTable(table: OptionTable): string {
  const rows = Object.values(table).map((option) =>
    row([
      option.flag === undefined ? '' : `\`${option.flag}\``,
      option.env === undefined ? '' : `\`${option.env}\``,
      option.default === undefined || option.default === '' ? '' : `\`${option.default}\``,
      option.sentence,
    ]),
  );
  return [
    row(['flag', 'environment', 'default', 'meaning']),
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;
}

function headOf(option: Option<unknown>): string {
  const value = option.placeholder === '' ? '' : ` ${option.placeholder}`;
  const repeated = option.repeatable ? ' …' : '';
  return option.flag === undefined
    ? `${option.env ?? ''}=${option.placeholder}${repeated}`
    : `${option.short === undefined ? '' : `${option.short}, `}${option.flag}${value}${repeated}`;
}

function originOf(option: Option<unknown>): string {
  const parts = [
    ...(option.default === undefined || option.default === '' ? [] : [`default ${option.default}`]),
    ...(option.flag === undefined || option.env === undefined ? [] : [`environment ${option.env}`]),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

function wrap(sentence: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of sentence.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
