import { eventOf, type MirrorEvent, type MirrorRequest } from '../contract/event.ts';

/**
 * What a delivery leaves, one delivery later: exactly these tags and followers, in batches. Nothing
 * else of the event has to be remembered anywhere.
 */
export function continuationsOf(
  event: MirrorEvent,
  tags: readonly string[],
  batchTags: number,
): readonly MirrorEvent[] {
  const continuation = (event.data.continuation ?? 0) + 1;
  return inBatches(event, tags, batchTags, { continuation });
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
  return inBatches(event, tags, batchTags, {});
}

function inBatches(
  event: MirrorEvent,
  tags: readonly string[],
  batchTags: number,
  more: Pick<MirrorRequest, 'continuation'>,
): readonly MirrorEvent[] {
  const { selection: _selection, continuation: _continuation, ...data } = event.data;
  const count = Math.ceil(tags.length / batchTags);
  return Array.from({ length: count }, (_, index) =>
    derived(
      event,
      {
        ...data,
        ...more,
        exclusionList: [],
        tags: tags.slice(index * batchTags, (index + 1) * batchTags),
      },
      index,
    ),
  );
}

function derived(event: MirrorEvent, data: MirrorRequest, batchIndex: number): MirrorEvent {
  const [, , clusterName = ''] = event.source.split('/');
  const occasion = { clusterName, time: new Date(event.time) };
  return {
    ...eventOf(data, { ...occasion, batchIndex }),
    source: event.source,
    subject: event.subject,
    time: event.time,
  };
}
