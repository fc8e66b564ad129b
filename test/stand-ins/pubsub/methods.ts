/** What a call brings beside its request. */
export interface CallContext {
  /** Aborted when the caller gives up. */
  readonly signal: AbortSignal;
}

/** Answers one request; throws a Refusal for any status but OK. */
export type Method = (request: never, call: CallContext) => object | Promise<object>;

/** The unary methods of a gRPC service by their names in its proto. */
export type Methods = Readonly<Record<string, Method>>;

/** Something put around every method: a check, a fault, a count. */
export type Decorator = (name: string, method: Method) => Method;

/** The methods with the decorators around them, the first outermost. */
export function decorated(methods: Methods, decorators: readonly Decorator[]): Methods {
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      decorators.reduceRight((inner, decorate) => decorate(name, inner), method),
    ]),
  );
}

/** Full name of the resource that a request is about, by the field that each request names it in. */
export function resourceOf(request: unknown): string {
  const fields = request as Readonly<Record<string, unknown>>;
  for (const field of ['topic', 'subscription', 'snapshot', 'resource', 'name', 'project']) {
    const value = fields[field];
    if (typeof value === 'string' && value !== '') return value;
    if (value !== null && typeof value === 'object') return resourceOf(value);
  }
  return '';
}
