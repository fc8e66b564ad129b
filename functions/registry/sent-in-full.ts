import type { MirrorError } from '../errors.ts';

const marked = new WeakSet<MirrorError>();

/** Notes that a fault came after the last byte of the request's body had left. */
export function markSentInFull(fault: MirrorError): void {
  marked.add(fault);
}

/** Whether the registry may have acted on the whole body, although its answer was lost. */
export function wasSentInFull(fault: MirrorError): boolean {
  return marked.has(fault);
}
