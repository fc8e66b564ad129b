import { eventOf, type MirrorEvent, type MirrorRequest } from '../contract/event.ts';

/** The same event one delivery later: for tracing a new id, everything else as it was. */
export function continuationOf(event: MirrorEvent): MirrorEvent {
  const { data } = event;
  return derived(event, { ...data, continuation: (data.continuation ?? 0) + 1 });
}

/**
 * Batches of tags of an event, each at most `batchTags` long. Tags are final in them, so what
 * selected them stays behind.
 */
export function batchesOf(
  event: MirrorEvent,
  tags: readonly string[],
  batchTags: number,
): readonly MirrorEvent[] {
  const { selection: _selection, continuation: _continuation, ...data } = event.data;
  const count = Math.ceil(tags.length / batchTags);
  return Array.from({ length: count }, (_, index) =>
    derived(
      event,
      {
        ...data,
        exclusionList: [],
        tags: tags.slice(index * batchTags, (index + 1) * batchTags),
      },
      index,
    ),
  );
}

function derived(event: MirrorEvent, data: MirrorRequest, batchIndex?: number): MirrorEvent {
  const [, , clusterName = ''] = event.source.split('/');
  const occasion = { clusterName, time: new Date(event.time) };
  return {
    ...eventOf(data, batchIndex === undefined ? occasion : { ...occasion, batchIndex }),
    source: event.source,
    subject: event.subject,
    time: event.time,
  };
}
