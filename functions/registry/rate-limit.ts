/**
 * Manifest GETs left in Docker Hub's window (`ratelimit-remaining: 76;w=21600`; HEAD tells it too
 * and is not counted); undefined where the header is absent or unreadable.
 */
export function parseRemaining(header: string | undefined): number | undefined {
  const match = /^\s*(\d{1,9})(?:\s*;.*)?$/.exec(header ?? '');
  return match === null ? undefined : Number(match[1]);
}

/** With this many left no new manifest GET is started: what is left belongs to the node's own pulls. */
export const RESERVED_PULLS = 5;
