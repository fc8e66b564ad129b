import { TokenReader } from './tokens.ts';

/** One series of an instant vector; of samples: what was added within every window that is looked at. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Samples by the metric's name. */
export type Samples = ReadonlyMap<string, readonly Series[]>;

/**
 * Evaluates PromQL, as far as the module's alerts and the bridge's rules speak it: selectors, `increase`, `absent`,
 * `absent_over_time`, `sum`, `min` and `max` with `by`, `histogram_quantile`, `label_replace`, `vector`, `and`, `or`, arithmetic and
 * comparisons. All samples lie
 * within the window, so that `increase` gives their sum.
 * https://prometheus.io/docs/prometheus/latest/querying/basics/
 */
export function evaluatePromql(query: string, samples: Samples): readonly Series[] {
  const tokens =
    query.match(
      /"(?:[^"\\]|\\.)*"|\d+(?:\.\d+)?[smhd]?|[A-Za-z_][\w:]*|=~|!~|!=|>=|<=|[-+*/()[\]{},=<>]/g,
    ) ?? [];
  const reader = new QueryReader(tokens, samples);
  const result = reader.alternatives();
  if (!reader.ended) throw new Error(`a query that is not understood: ${query} at ${reader.rest}`);
  return vectorOf(result);
}

type Value = number | readonly Series[];

function vectorOf(value: Value): readonly Series[] {
  return typeof value === 'number' ? [{ labels: {}, value }] : value;
}

class QueryReader extends TokenReader {
  readonly #samples: Samples;

  constructor(tokens: readonly string[], samples: Samples) {
    super(tokens);
    this.#samples = samples;
  }

  /** `or`: the series of the left, and those of the right that have other labels. */
  alternatives(): Value {
    let left = this.#both();
    while (this.takes('or')) {
      const first = vectorOf(left);
      left = [...first, ...withLabelsOf(this.#both(), first, false)];
    }
    return left;
  }

  /** `and`: the series of the left whose labels the right has too. */
  #both(): Value {
    let left = this.#comparison();
    while (this.takes('and')) {
      // `on ()`: by no label, so that any series will do.
      const any = this.takes('on');
      if (any) this.expect('(', ')');
      const right = vectorOf(this.#comparison());
      left = any ? (right.length > 0 ? left : []) : withLabelsOf(left, right, true);
    }
    return left;
  }

  /** A comparison with a number keeps the series that satisfy it. */
  #comparison(): Value {
    const left = this.#sum();
    const operator = ['>', '<', '>=', '<='].find((one) => this.takes(one));
    if (operator === undefined) return left;
    const limit = this.#sum();
    if (typeof limit !== 'number') throw new Error('only a number is compared with');
    return vectorOf(left).filter(({ value }) =>
      operator.startsWith('>')
        ? value > limit || (operator === '>=' && value === limit)
        : value < limit || (operator === '<=' && value === limit),
    );
  }

  #sum(): Value {
    let left = this.#product();
    for (;;) {
      if (this.takes('-')) left = combine(left, this.#product(), (a, b) => a - b);
      else if (this.takes('+')) left = combine(left, this.#product(), (a, b) => a + b);
      else return left;
    }
  }

  #product(): Value {
    let left = this.#atom();
    for (;;) {
      if (this.takes('/')) left = combine(left, this.#atom(), (a, b) => a / b);
      else if (this.takes('*')) left = combine(left, this.#atom(), (a, b) => a * b);
      else return left;
    }
  }

  #atom(): Value {
    const token = this.next();
    if (/^\d/.test(token)) return Number(token);
    if (token === '(') {
      const inner = this.alternatives();
      this.expect(')');
      return inner;
    }
    switch (token) {
      case 'sum':
        return this.#aggregate((values) => values.reduce((total, value) => total + value, 0));
      case 'max':
        return this.#aggregate((values) => Math.max(...values));
      case 'min':
        return this.#aggregate((values) => Math.min(...values));
      case 'increase':
        return this.#argument();
      case 'vector':
        return vectorOf(this.#argument());
      case 'absent':
      case 'absent_over_time':
        return vectorOf(this.#argument()).length === 0 ? [{ labels: {}, value: 1 }] : [];
      case 'label_replace':
        return this.#replaced();
      case 'histogram_quantile': {
        this.expect('(');
        const quantile = Number(this.next());
        this.expect(',');
        const buckets = vectorOf(this.alternatives());
        this.expect(')');
        return quantileOf(quantile, buckets);
      }
      default:
        return this.#selector(token);
    }
  }

  /** `label_replace(series, label, replacement, source, pattern)` */
  #replaced(): readonly Series[] {
    this.expect('(');
    const series = vectorOf(this.alternatives());
    const texts = Array.from({ length: 4 }, () => {
      this.expect(',');
      return JSON.parse(this.next()) as string;
    });
    this.expect(')');
    const [label = '', replacement = '', source = '', pattern = ''] = texts;
    const whole = new RegExp(`^(?:${pattern})$`);
    return series.map(({ labels, value }) => {
      const text = labels[source] ?? '';
      const replaced = whole.test(text) ? { [label]: text.replace(whole, replacement) } : {};
      return { labels: { ...labels, ...replaced }, value };
    });
  }

  #argument(): Value {
    this.expect('(');
    const inner = this.alternatives();
    this.expect(')');
    return inner;
  }

  #aggregate(of: (values: readonly number[]) => number): readonly Series[] {
    const by: string[] = [];
    if (this.takes('by')) {
      this.expect('(');
      while (!this.takes(')')) {
        by.push(this.next());
        this.takes(',');
      }
    }
    const groups = new Map<string, { labels: Record<string, string>; values: number[] }>();
    for (const { labels, value } of vectorOf(this.#argument())) {
      const kept = Object.fromEntries(by.map((name) => [name, labels[name] ?? '']));
      const group = groups.get(keyOf(kept)) ?? { labels: kept, values: [] };
      group.values.push(value);
      groups.set(keyOf(kept), group);
    }
    return [...groups.values()].map(({ labels, values }) => ({ labels, value: of(values) }));
  }

  #selector(name: string): readonly Series[] {
    const matchers: ((labels: Series['labels']) => boolean)[] = [];
    if (this.takes('{')) {
      while (!this.takes('}')) {
        const label = this.next();
        const operator = this.next();
        const value = JSON.parse(this.next()) as string;
        matchers.push((labels) => matchesLabel(labels[label] ?? '', operator, value));
        this.takes(',');
      }
    }
    if (this.takes('[')) {
      this.next();
      this.expect(']');
    }
    return (this.#samples.get(name) ?? []).filter(({ labels }) =>
      matchers.every((matches) => matches(labels)),
    );
  }
}

function matchesLabel(label: string, operator: string, value: string): boolean {
  // A regular expression matches the whole label.
  const whole = new RegExp(`^(?:${value})$`);
  switch (operator) {
    case '=':
      return label === value;
    case '!=':
      return label !== value;
    case '=~':
      return whole.test(label);
    case '!~':
      return !whole.test(label);
    default:
      throw new Error(`a matcher that is not understood: ${operator}`);
  }
}

/** Series of the same labels, or each with a number. */
function combine(left: Value, right: Value, of: (a: number, b: number) => number): Value {
  if (typeof left === 'number' && typeof right === 'number') return of(left, right);
  if (typeof right === 'number') {
    return vectorOf(left).map(({ labels, value }) => ({ labels, value: of(value, right) }));
  }
  if (typeof left === 'number') {
    return right.map(({ labels, value }) => ({ labels, value: of(left, value) }));
  }
  const others = new Map(right.map(({ labels, value }) => [keyOf(labels), value]));
  return left.flatMap(({ labels, value }) => {
    const other = others.get(keyOf(labels));
    return other === undefined ? [] : [{ labels, value: of(value, other) }];
  });
}

/** The series whose labels are among those of others, or are not. */
function withLabelsOf(value: Value, others: readonly Series[], among: boolean): readonly Series[] {
  const keys = new Set(others.map(({ labels }) => keyOf(labels)));
  return vectorOf(value).filter(({ labels }) => keys.has(keyOf(labels)) === among);
}

function keyOf(labels: Series['labels']): string {
  return JSON.stringify(Object.entries(labels).sort());
}

/** Where the quantile lies, taking values to be spread evenly within a bucket, as Prometheus does. */
function quantileOf(quantile: number, buckets: readonly Series[]): readonly Series[] {
  const sorted = buckets
    .map(({ labels, value }) => ({ bound: Number(labels['le']), value }))
    .sort((a, b) => a.bound - b.bound);
  const rank = quantile * (sorted.at(-1)?.value ?? 0);
  const at = sorted.findIndex(({ value }) => value >= rank);
  const found = sorted[at];
  if (rank === 0 || found === undefined) return [];
  const below = sorted[at - 1] ?? { bound: 0, value: 0 };
  const share = (rank - below.value) / (found.value - below.value);
  return [{ labels: {}, value: below.bound + (found.bound - below.bound) * share }];
}
