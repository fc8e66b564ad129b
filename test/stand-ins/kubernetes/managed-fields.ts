import { isDeepStrictEqual } from 'node:util';

import { isJsonObject, kubeTime, type JsonObject, type ManagedFieldsEntry } from './object.ts';

/** Who writes, to be noted in managedFields. */
export interface FieldManager {
  readonly manager: string;
  readonly apiVersion: string;
  /** `status` for a write to that subresource. */
  readonly subresource?: string;
  readonly nowMs: number;
}

type Tree = Record<string, unknown>;

/**
 * managedFields after a write: the writer owns what it changed, nobody else owns that any longer,
 * and what is gone is owned by nobody (Kubernetes, "Server-Side Apply", updates by other means).
 */
export function trackFields(
  before: JsonObject | undefined,
  after: JsonObject,
  entries: readonly ManagedFieldsEntry[],
  writer: FieldManager,
): readonly ManagedFieldsEntry[] {
  const changed = changedFields(owned(before ?? {}), owned(after), true);
  const gone = goneFields(owned(before ?? {}), owned(after));
  const mine = entries.find(
    (entry) =>
      entry.manager === writer.manager &&
      entry.operation === 'Update' &&
      entry.subresource === writer.subresource,
  );
  const others = entries
    .filter((entry) => entry !== mine)
    .map((entry) => ({
      ...entry,
      fieldsV1: without(without(entry.fieldsV1, changed), gone),
    }));
  const kept = without(mine?.fieldsV1 ?? {}, gone);
  const fields = union(kept, changed);
  const touched = Object.keys(changed).length > 0 || !isDeepStrictEqual(kept, mine?.fieldsV1 ?? {});
  const own: ManagedFieldsEntry = {
    apiVersion: writer.apiVersion,
    fieldsType: 'FieldsV1',
    fieldsV1: fields,
    manager: writer.manager,
    operation: 'Update',
    ...(writer.subresource === undefined ? {} : { subresource: writer.subresource }),
    time: touched || mine?.time === undefined ? kubeTime(writer.nowMs) : mine.time,
  };
  return [...others, own].filter(({ fieldsV1 }) => Object.keys(fieldsV1).length > 0).sort(inOrder);
}

function inOrder(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  return (
    compare(a.operation, b.operation) ||
    compare(a.time ?? '', b.time ?? '') ||
    compare(a.manager, b.manager) ||
    compare(a.subresource ?? '', b.subresource ?? '')
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The fields of an object that can be owned: all but its type, name and what the server writes. */
function owned(object: JsonObject): JsonObject {
  const { metadata, apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  const kept: Record<string, unknown> = {};
  if (isJsonObject(metadata)) {
    for (const name of ['annotations', 'finalizers', 'labels', 'ownerReferences']) {
      if (metadata[name] !== undefined) kept[name] = metadata[name];
    }
  }
  return Object.keys(kept).length > 0 ? { metadata: kept, ...rest } : rest;
}

/** FieldsV1 of what is new or different; `.` marks an object that was not there before. */
function changedFields(before: JsonObject, after: JsonObject, root = false): Tree {
  const tree: Tree = {};
  for (const [name, value] of Object.entries(after)) {
    const old = before[name];
    if (isDeepStrictEqual(old, value)) continue;
    if (name === 'finalizers' && Array.isArray(value)) {
      const had: readonly unknown[] = Array.isArray(old) ? old : [];
      const added = value.filter((each) => !had.includes(each));
      const members = Object.fromEntries(
        added.map((each: unknown) => [`v:${JSON.stringify(each)}`, {}]),
      );
      if (added.length > 0)
        tree['f:finalizers'] = { ...(old === undefined ? { '.': {} } : {}), ...members };
      continue;
    }
    if (isJsonObject(value) && Object.keys(value).length > 0) {
      const inner = changedFields(isJsonObject(old) ? old : {}, value);
      const isNew = old === undefined && !(root && name === 'metadata');
      if (isNew) tree[`f:${name}`] = { '.': {}, ...inner };
      else if (Object.keys(inner).length > 0) tree[`f:${name}`] = inner;
      continue;
    }
    tree[`f:${name}`] = {};
  }
  return tree;
}

/** FieldsV1 of what was there before and is not any more. */
function goneFields(before: JsonObject, after: JsonObject): Tree {
  const tree: Tree = {};
  for (const [name, value] of Object.entries(before)) {
    const now = after[name];
    if (name === 'finalizers' && Array.isArray(value) && Array.isArray(now)) {
      const lost = value.filter((each) => !now.includes(each));
      if (lost.length > 0) {
        tree['f:finalizers'] = Object.fromEntries(
          lost.map((each: unknown) => [`v:${JSON.stringify(each)}`, {}]),
        );
      }
    } else if (now === undefined) {
      tree[`f:${name}`] = {};
    } else if (isJsonObject(value) && isJsonObject(now)) {
      const inner = goneFields(value, now);
      if (Object.keys(inner).length > 0) tree[`f:${name}`] = inner;
    }
  }
  return tree;
}

function union(a: JsonObject, b: JsonObject): Tree {
  const tree: Tree = { ...a };
  for (const [name, value] of Object.entries(b)) {
    const mine = tree[name];
    tree[name] = isJsonObject(mine) && isJsonObject(value) ? union(mine, value) : value;
  }
  return Object.fromEntries(Object.entries(tree).sort(([x], [y]) => compare(x, y)));
}

/** The tree less the leaves of another; branches that lose all their leaves go with them. */
function without(tree: JsonObject, leaves: JsonObject): Tree {
  const result: Tree = {};
  for (const [name, value] of Object.entries(tree)) {
    const leaf = leaves[name];
    if (leaf === undefined || !isJsonObject(value) || !isJsonObject(leaf)) {
      result[name] = value;
    } else if (Object.keys(leaf).length > 0) {
      const rest = without(value, leaf);
      if (Object.keys(rest).length > 0) result[name] = rest;
    }
  }
  return result;
}
