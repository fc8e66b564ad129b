/** A request's place in a trace, in the keys that Cloud Logging links to Cloud Trace. */
export interface TraceFields {
  readonly 'logging.googleapis.com/trace': string;
  readonly 'logging.googleapis.com/spanId': string;
  readonly 'logging.googleapis.com/trace_sampled': boolean;
}

/** W3C Trace Context, version 00: `00-TRACE-SPAN-FLAGS`. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;

/** What Google's front ends send: `TRACE/SPAN;o=OPTIONS`, the span decimal and without sign. */
const CLOUD_TRACE_CONTEXT = /^([0-9a-f]{32})\/(\d{1,20})(?:;o=(\d))?$/i;

/**
 * The `traceparent` that says the same as an `X-Cloud-Trace-Context`
 * (cloud.google.com/trace/docs/trace-context, "Legacy trace context headers"); undefined where it is
 * absent or malformed.
 */
export function traceparentOf(cloudTraceContext: string | undefined): string | undefined {
  const [, traceId, span = '', options = '0'] =
    CLOUD_TRACE_CONTEXT.exec(cloudTraceContext ?? '') ?? [];
  if (traceId === undefined) return undefined;
  const spanId = BigInt(span).toString(16).padStart(16, '0');
  if (spanId.length > 16) return undefined;
  const sampled = (Number(options) & 1) === 1;
  return `00-${traceId.toLowerCase()}-${spanId}-${sampled ? '01' : '00'}`;
}

/**
 * The trace fields of a `traceparent`; undefined where it is absent or malformed.
 * @param projectId without it the trace is named by its id alone, which the console does not link
 */
export function traceFields(
  traceparent: unknown,
  projectId: string | undefined,
): TraceFields | undefined {
  const [, traceId, spanId = '', flags = ''] =
    typeof traceparent === 'string' ? (TRACEPARENT.exec(traceparent) ?? []) : [];
  if (traceId === undefined) return undefined;
  return {
    'logging.googleapis.com/trace':
      projectId === undefined ? traceId : `projects/${projectId}/traces/${traceId}`,
    'logging.googleapis.com/spanId': spanId,
    'logging.googleapis.com/trace_sampled': (Number.parseInt(flags, 16) & 1) === 1,
  };
}
