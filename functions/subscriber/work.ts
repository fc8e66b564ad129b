import type { MirrorEvent } from '../contract/event.ts';
import type { Delegation } from '../mirror/delegation.ts';
import type { Deadline } from '../mirror/deadline.ts';
import type { MirrorObserver } from '../mirror/ledger.ts';
import type { MirrorReport } from '../mirror/report.ts';
import type { Admission } from './admission.ts';

/** One admitted event with the time and the help it has. */
export interface Work {
  readonly event: MirrorEvent;
  readonly admission: Admission;
  readonly deadline: Deadline;
  /** When the work must have ended, milliseconds since 1970; undefined: never. */
  readonly deadlineAtMs: number | undefined;
  readonly delegation?: Delegation;
  readonly observer?: MirrorObserver;
  readonly signal: AbortSignal;
}

/** Does the work: the engine with the registries of the process. @throws Fault */
export type DoWork = (work: Work) => Promise<MirrorReport>;
