import { isJsonObject, type JsonObject } from './object.ts';
import { invalidValue, required, type Cause } from './refusal.ts';

/** The subset of OpenAPI v3 that a structural schema of a CRD uses here. */
export interface Schema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly enum?: readonly string[];
  /** Go regular expression, unanchored; only the part of the syntax that JavaScript shares. */
  readonly pattern?: string;
  readonly format?: 'date-time' | 'int64';
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
}

/**
 * The value without fields that the schema does not know, and with the schema's defaults where
 * fields are absent (Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions").
 */
export function conform(value: unknown, schema: Schema): unknown {
  if (Array.isArray(value) && schema.items !== undefined) {
    const { items } = schema;
    return value.map((item) => conform(item, items));
  }
  if (!isJsonObject(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    const inner = schema.properties?.[name] ?? schema.additionalProperties;
    // null means "absent" for a field that is not nullable, and none of these is.
    if (inner === undefined || field === null) continue;
    result[name] = conform(field, inner);
  }
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    if (inner.default !== undefined && !(name in result)) {
      result[name] = conform(structuredClone(inner.default), inner);
    }
  }
  return result;
}

/** Everything that is wrong with the value, in the order of its fields. */
export function violations(value: unknown, schema: Schema, path: string): readonly Cause[] {
  const actual = typeOf(value);
  if (actual !== schema.type) {
    return [
      {
        reason: 'FieldValueTypeInvalid',
        message: `Invalid value: "${actual}": ${path} in body must be of type ${schema.type}: "${actual}"`,
        field: path,
      },
    ];
  }
  if (isJsonObject(value)) return objectViolations(value, schema, path);
  if (Array.isArray(value)) return arrayViolations(value, schema, path);
  if (typeof value === 'string') return stringViolations(value, schema, path);
  if (typeof value === 'number' && schema.minimum !== undefined && value < schema.minimum) {
    return [wrongInBody(path, value, `should be greater than or equal to ${schema.minimum}`)];
  }
  return [];
}

function objectViolations(value: JsonObject, schema: Schema, path: string): readonly Cause[] {
  const missing = (schema.required ?? [])
    .filter((name) => value[name] === undefined)
    .map((name) => required(below(path, name)));
  const wrong = Object.entries(value).flatMap(([name, field]) => {
    const inner = schema.properties?.[name] ?? schema.additionalProperties;
    return inner === undefined ? [] : violations(field, inner, below(path, name));
  });
  return [...missing, ...wrong];
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function arrayViolations(
  value: readonly unknown[],
  schema: Schema,
  path: string,
): readonly Cause[] {
  const { items, maxItems } = schema;
  const wrong =
    items === undefined
      ? []
      : value.flatMap((item, index) => violations(item, items, `${path}[${index}]`));
  if (maxItems === undefined || value.length <= maxItems) return wrong;
  const message = `Too many: ${value.length}: must have at most ${maxItems} items`;
  return [{ reason: 'FieldValueTooMany', message, field: path }, ...wrong];
}

function stringViolations(value: string, schema: Schema, path: string): readonly Cause[] {
  const { pattern, maxLength, minLength } = schema;
  const found: Cause[] = [];
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    const supported = schema.enum.map((each) => `"${each}"`).join(', ');
    const message = `Unsupported value: "${value}": supported values: ${supported}`;
    found.push({ reason: 'FieldValueNotSupported', message, field: path });
  }
  if (maxLength !== undefined && Array.from(value).length > maxLength) {
    const message = `Too long: may not be more than ${maxLength} bytes`;
    found.push({ reason: 'FieldValueTooLong', message, field: path });
  }
  if (minLength !== undefined && Array.from(value).length < minLength) {
    found.push(wrongInBody(path, value, `should be at least ${minLength} chars long`));
  } else if (pattern !== undefined && !new RegExp(pattern).test(value)) {
    found.push(wrongInBody(path, value, `should match '${pattern}'`));
  }
  if (schema.format === 'date-time' && !isDateTime(value)) {
    const rule = `must be of type date-time: ${JSON.stringify(value)}`;
    found.push({ ...wrongInBody(path, value, rule), reason: 'FieldValueTypeInvalid' });
  }
  return found;
}

function wrongInBody(path: string, value: unknown, expectation: string): Cause {
  return invalidValue(path, value, `${path} in body ${expectation}`);
}

function isDateTime(value: string): boolean {
  return (
    /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(value) &&
    !Number.isNaN(Date.parse(value))
  );
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}
