import { isDeepStrictEqual } from 'node:util';

import { isJsonObject, type JsonObject } from './object.ts';
import { badRequest, Refusal, unsupportedMediaType } from './refusal.ts';

/**
 * Applies a patch of one of the media types that the kind takes. Strategic merge patches, which
 * custom resources do not take, are merged as others: no kind here has lists that are merged by key.
 * @throws Refusal 400, 415, 422
 */
export function applyPatch(
  target: JsonObject,
  mediaType: string,
  patch: unknown,
  custom: boolean,
): unknown {
  const accepted = [
    'application/json-patch+json',
    'application/merge-patch+json',
    ...(custom ? [] : ['application/strategic-merge-patch+json']),
  ];
  if (!accepted.includes(mediaType)) throw unsupportedMediaType(accepted);
  return mediaType === 'application/json-patch+json'
    ? jsonPatch(target, patch)
    : mergePatch(target, patch);
}

/** Applies a JSON merge patch (RFC 7386): null removes, objects merge, all else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return patch;
  const result: Record<string, unknown> = isJsonObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

/**
 * Applies a JSON patch (RFC 6902).
 * @throws Refusal 400 for a malformed patch, 422 where a path is missing or a test fails
 */
export function jsonPatch(target: JsonObject, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch is an array of operations');
  return patch.reduce<unknown>(
    (document, operation: unknown) => applyOperation(document, operation),
    structuredClone(target),
  );
}

function applyOperation(document: unknown, operation: unknown): unknown {
  if (!isJsonObject(operation) || typeof operation['path'] !== 'string') {
    throw badRequest('a JSON patch operation needs op and path');
  }
  const path = pointer(operation['path']);
  const value = structuredClone(operation['value']);
  switch (operation['op']) {
    case 'add':
      return put(document, path, value, 'add');
    case 'replace':
      read(document, path);
      return put(document, path, value, 'replace');
    case 'remove':
      return remove(document, path);
    case 'test':
      if (!isDeepStrictEqual(read(document, path), value)) {
        throw unprocessable(`testing value ${operation['path']} failed`);
      }
      return document;
    case 'move':
    case 'copy': {
      const from = pointer(String(operation['from']));
      const moved = structuredClone(read(document, from));
      const rest = operation['op'] === 'move' ? remove(document, from) : document;
      return put(rest, path, moved, 'add');
    }
    default:
      throw badRequest(`unexpected kind of JSON patch operation: ${String(operation['op'])}`);
  }
}

function pointer(text: string): readonly string[] {
  return text
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const step of path) {
    const next: unknown = Array.isArray(value)
      ? value[Number(step)]
      : isJsonObject(value)
        ? value[step]
        : undefined;
    if (next === undefined) throw unprocessable(`missing path: /${path.join('/')}`);
    value = next;
  }
  return value;
}

function put(
  document: unknown,
  path: readonly string[],
  value: unknown,
  mode: 'add' | 'replace',
): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = read(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    if (!Number.isInteger(index) || index > parent.length) {
      throw unprocessable(`index out of range: /${path.join('/')}`);
    }
    parent.splice(index, mode === 'replace' ? 1 : 0, value);
  } else if (isJsonObject(parent)) {
    Reflect.set(parent, last, value);
  } else {
    throw unprocessable(`missing path: /${path.join('/')}`);
  }
  return document;
}

function remove(document: unknown, path: readonly string[]): unknown {
  read(document, path);
  const parent = read(document, path.slice(0, -1));
  const last = path.at(-1) ?? '';
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else if (isJsonObject(parent)) Reflect.deleteProperty(parent, last);
  return document;
}

function unprocessable(message: string): Refusal {
  return new Refusal(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${message}`,
    {},
  );
}
