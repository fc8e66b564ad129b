import { MirrorError, printable } from '../errors.ts';

/** An object of unknown shape. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whether a value is an object: neither a list nor null. */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as an object, an empty one where it is none. */
export function asFields(value: unknown): Fields {
  return isFields(value) ? value : {};
}

/** The value as an object. @throws MirrorError `EVENT_INVALID`; `EVENT_UNDECODABLE` for the data itself */
export function objectAt(value: unknown, path: string): Fields {
  if (isFields(value)) return value;
  if (path === 'data') {
    throw new MirrorError('EVENT_UNDECODABLE', `data is ${typed(value)}, not an object`, {
      operation: 'decode event',
      field: path,
    });
  }
  throw wrong(path, 'an object', value);
}

/** A field that may be absent (or null): `read` is called only where it is there. */
export function optional<T>(fields: Fields, name: string, read: () => T): T | undefined {
  return fields[name] === undefined || fields[name] === null ? undefined : read();
}

/** An object of which the fields that may be undefined are optional. */
export type Defined<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The fields that are not undefined, in their order: for what tells absent from undefined. */
export function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Defined<T>;
}

/** A text of `min` to `max` characters. @throws MirrorError `EVENT_INVALID` */
export function stringAt(
  fields: Fields,
  name: string,
  at: string,
  min: number,
  max: number,
): string {
  const value = fields[name];
  // guard: pattern-length
  if (typeof value !== 'string' || value.length < min || value.length > max) {
    throw wrong(join(at, name), `a text of ${min} to ${max} characters`, value);
  }
  return value;
}

/** A whole number in a range. @throws MirrorError `EVENT_INVALID` */
export function integerAt(
  fields: Fields,
  name: string,
  at: string,
  min: number,
  max: number,
): number {
  const value = fields[name];
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    throw wrong(join(at, name), `a whole number from ${min} to ${max}`, value);
  }
  return value as number;
}

/** A truth value. @throws MirrorError `EVENT_INVALID` */
export function booleanAt(fields: Fields, name: string, at: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw wrong(join(at, name), 'true or false', value);
  return value;
}

/** One of a few words. @throws MirrorError `EVENT_INVALID` */
export function literalAt<const L extends string>(
  fields: Fields,
  name: string,
  at: string,
  words: readonly L[],
): L {
  const value = fields[name];
  if (typeof value !== 'string' || !words.includes(value as L)) {
    throw wrong(join(at, name), `one of ${words.join(', ')}`, value);
  }
  return value as L;
}

/** An array. @throws MirrorError `EVENT_INVALID` */
export function arrayAt(fields: Fields, name: string, at: string): readonly unknown[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw wrong(join(at, name), 'an array', value);
  return value as readonly unknown[];
}

/** A time in RFC 3339. @throws MirrorError `EVENT_INVALID` */
export function timeAt(fields: Fields, name: string, at: string): string {
  const value = fields[name];
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
  if (typeof value !== 'string' || !form.test(value) || Number.isNaN(Date.parse(value))) {
    throw wrong(join(at, name), 'a time in RFC 3339', value);
  }
  return value;
}

/** A refusal that names the field. */
export function wrong(field: string, wanted: string, value: unknown): MirrorError {
  return new MirrorError('EVENT_INVALID', `${field} wants ${wanted}, not ${typed(value)}`, {
    operation: 'decode event',
    field,
  });
}

function join(at: string, name: string): string {
  if (/^\d+$/.test(name)) return `${at}[${name}]`;
  return at === '' ? name : `${at}.${name}`;
}

function typed(value: unknown): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'string') return `'${printable(value).slice(0, 80)}'`;
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
