import { Refusal } from './refusal.ts';

/** A fault that meets requests, in the order they come. */
export interface RequestFault {
  /** get, list, watch, create, update, patch, delete; absent: any. */
  readonly verbs?: readonly string[];
  /** Plural of the resource; absent: any. */
  readonly resource?: string;
  /** Name of the user; absent: any. */
  readonly user?: string;
  /** How many requests it meets; default 1, `Infinity` until it is lifted. */
  readonly times?: number;
  /** Waits so long before anything else happens to the request; default 0. */
  readonly delayMs?: number;
  /**
   * What then happens: an answer with this HTTP status, a connection cut without an answer, no
   * answer at all; absent: the request is served.
   */
  readonly answer?: number | 'reset' | 'hang';
}

/** What a request is, to a fault. */
export interface Met {
  readonly verb: string;
  readonly resource: string;
  readonly user: string;
}

interface Armed {
  readonly fault: RequestFault;
  left: number;
}

/** Faults that are waiting for requests. */
export class RequestFaults {
  private armed: Armed[] = [];

  /** Arms a fault; the returned function lifts it. */
  add(fault: RequestFault): () => void {
    const armed: Armed = { fault, left: fault.times ?? 1 };
    this.armed.push(armed);
    return () => {
      this.armed = this.armed.filter((each) => each !== armed);
    };
  }

  /** The fault that meets this request, if any: the one armed first. */
  take(met: Met): RequestFault | undefined {
    const found = this.armed.find(({ fault }) => meets(fault, met));
    if (found === undefined) return undefined;
    found.left -= 1;
    if (found.left <= 0) this.armed = this.armed.filter((each) => each !== found);
    return found.fault;
  }
}

function meets(fault: RequestFault, { verb, resource, user }: Met): boolean {
  return (
    (fault.verbs?.includes(verb) ?? true) &&
    (fault.resource === undefined || fault.resource === resource) &&
    (fault.user === undefined || fault.user === user)
  );
}

const reasons: Readonly<Record<number, readonly [string, string]>> = {
  400: ['BadRequest', 'the server rejected our request for an unknown reason'],
  401: ['Unauthorized', 'Unauthorized'],
  403: ['Forbidden', 'forbidden'],
  404: ['NotFound', 'the server could not find the requested resource'],
  409: ['Conflict', 'the server reported a conflict'],
  410: ['Expired', 'The resourceVersion for the provided watch is too old.'],
  429: ['TooManyRequests', 'Too many requests, please try again later.'],
  500: ['InternalError', 'Internal error occurred: etcdserver: leader changed'],
  503: ['ServiceUnavailable', 'apiserver is shutting down'],
  504: ['Timeout', 'The request did not complete within the allotted timeout'],
};

/** The answer with an HTTP status, in Kubernetes' words. */
export function faultRefusal(code: number): Refusal {
  const [reason, message] = reasons[code] ?? ['', `the server answered ${code}`];
  return new Refusal(code, reason, message);
}
