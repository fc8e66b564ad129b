/** A JSON object as the APIs send and take it. */
export type Json = Record<string, unknown>;

/** Whether a value is a JSON object: neither a list nor null. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object under a key, or an empty one. */
export function objectAt(value: Json, key: string): Json {
  const found = value[key];
  return isObject(found) ? found : {};
}

/** The objects of a list under a key. */
export function listAt(value: Json, key: string): readonly Json[] {
  const found = value[key];
  return Array.isArray(found) ? found.filter(isObject) : [];
}

/** The text under a key, or an empty one. */
export function textAt(value: Json, key: string): string {
  const found = value[key];
  return typeof found === 'string' ? found : '';
}

/**
 * A message as proto3's JSON mapping writes it: a field with its default (0, "", false, an empty list or
 * map) is left out, an empty message stays. Elements of lists and values of maps are no fields and stay.
 * https://protobuf.dev/programming-guides/json/
 */
export function proto3(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(proto3);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, field]) => [key, proto3(field)] as const)
      .filter(([key, field]) => !isDefault(field) || WRAPPERS.has(key) || isText(key, field)),
  );
}

/** Fields of wrapper types (google.protobuf.BoolValue), whose false is a value. */
const WRAPPERS = new Set(['enabled']);

/** A text that looks like an int64's default: the value of a variable. */
function isText(key: string, field: unknown): boolean {
  return key === 'value' && field === '0';
}

function isDefault(field: unknown): boolean {
  if (field === undefined || field === null || field === '' || field === false) return true;
  // The default of an int64, which is a text.
  if (field === 0 || field === '0') return true;
  return Array.isArray(field) && field.length === 0;
}

/** Sets the paths of a field mask to what the update has there; a path that it lacks is cleared. */
export function applyMask(resource: Json, update: Json, paths: readonly string[]): void {
  for (const path of paths) {
    const names = path.split('.').map(camelCase);
    const last = names.pop() ?? '';
    let into = resource;
    let from: Json | undefined = update;
    for (const name of names) {
      if (!isObject(into[name])) into[name] = {};
      into = into[name] as Json;
      const next: unknown = from?.[name];
      from = isObject(next) ? next : undefined;
    }
    if (from?.[last] === undefined) Reflect.deleteProperty(into, last);
    else into[last] = from[last];
  }
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
