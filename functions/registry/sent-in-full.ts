import type { Fault } from '../fault.ts';

const marked = new WeakSet<Fault>();

/** Notes that a fault came after the last byte of the request's body had left. */
export function markSentInFull(fault: Fault): void {
  marked.add(fault);
}

/** Whether the registry may have acted on the whole body, although its answer was lost. */
export function wasSentInFull(fault: Fault): boolean {
  return marked.has(fault);
}
