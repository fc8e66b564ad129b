/** Name of a gRPC status that the stand-in answers with (grpc.io, "Status codes and their use in gRPC"). */
export type StatusName =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE';

/** A request that is answered with a status other than OK. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: StatusName;

  constructor(status: StatusName, message: string) {
    super(message);
    this.status = status;
  }
}

/** Refuses the request as malformed unless `holds`. @throws Refusal `INVALID_ARGUMENT` */
export function requireArgument(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Refusal('INVALID_ARGUMENT', message);
}

/** Refuses what the stand-in does not do, instead of leaving it undone without a word. @throws Refusal `UNIMPLEMENTED` */
export function requireImplemented(...asked: readonly (string | false)[]): void {
  const missing = asked.filter((what) => what !== false);
  if (missing.length === 0) return;
  throw new Refusal('UNIMPLEMENTED', `The stand-in does not do ${missing.join(', ')}`);
}
