import type { Content } from './content.ts';
import {
  bytesAnswer,
  emptyAnswer,
  jsonAnswer,
  type Answer,
  type Handler,
  type RegistryRequest,
} from './exchange.ts';
import type { AnswerFault, FaultEffect, FaultRules } from './fault-rule.ts';

/** Serves requests with the faults that the rules have for them. */
export function withFaults(handler: Handler, rules: FaultRules): Handler {
  return async (request) => {
    const effect = rules.take(request);
    return effect === undefined ? handler(request) : strike(effect, request, handler);
  };
}

async function strike(
  effect: FaultEffect,
  request: RegistryRequest,
  handler: Handler,
): Promise<Answer> {
  switch (effect.kind) {
    case 'answer':
      return wrongAnswer(effect, request, handler);
    case 'reset':
    case 'stall':
      return interrupted(effect, request, handler);
    case 'anonymous': {
      const { authorization: _dropped, ...headers } = request.headers;
      return handler({ ...request, headers });
    }
    case 'event': {
      effect.before?.(request);
      const answer = await handler(request);
      effect.after?.(request);
      return answer;
    }
    default:
      return distorted(effect, await handler(request));
  }
}

async function wrongAnswer(
  fault: AnswerFault,
  request: RegistryRequest,
  handler: Handler,
): Promise<Answer> {
  if (fault.commit === true) await handler(request);
  else await readSome(request, fault.afterRequestBytes ?? 0);
  const { status, headers = {}, errors, body } = fault;
  const answer =
    body !== undefined
      ? bytesAnswer(status, body.contentType, Buffer.from(body.text), headers)
      : errors !== undefined
        ? jsonAnswer(status, { errors }, headers)
        : emptyAnswer(status, headers);
  return { ...answer, unread: fault.unread ?? 'drain' };
}

async function interrupted(
  effect: Extract<FaultEffect, { kind: 'reset' | 'stall' }>,
  request: RegistryRequest,
  handler: Handler,
): Promise<Answer> {
  const by = effect.kind;
  const nothing: Answer = { ...emptyAnswer(500), ending: { after: 'head', by }, unread: 'hold' };
  switch (effect.at) {
    case 'head':
      return nothing;
    case 'request-body':
      await readSome(request, effect.afterBytes ?? 0);
      return nothing;
    case 'commit':
      return { ...(await handler(request)), ending: { after: 'head', by } };
    case 'response-body':
      return { ...(await handler(request)), ending: { after: effect.afterBytes ?? 0, by } };
    case 'end': {
      const answer = await handler(request);
      return { ...answer, ending: { after: answer.body?.sizeBytes ?? 0, by } };
    }
    default:
      return effect satisfies never;
  }
}

function distorted(
  effect: Extract<FaultEffect, { kind: 'truncate' | 'flip' | 'pad' | 'length' | 'digest' }>,
  answer: Answer,
): Answer {
  const { body, headers } = answer;
  if (effect.kind === 'digest') {
    return { ...answer, headers: { ...headers, 'docker-content-digest': effect.digest } };
  }
  if (body === undefined) return answer;
  switch (effect.kind) {
    case 'truncate':
      return { ...answer, ending: { after: effect.afterBytes, by: 'close' } };
    case 'flip':
      return { ...answer, body: flipped(body, effect.atByte) };
    case 'pad':
      return sized(answer, padded(body, effect.bytes), body.sizeBytes + effect.bytes);
    case 'length': {
      const answered = sized(answer, body, body.sizeBytes + effect.delta);
      return effect.delta > 0
        ? { ...answered, ending: { after: body.sizeBytes, by: 'close' } }
        : sized(answer, cut(body, body.sizeBytes + effect.delta), body.sizeBytes + effect.delta);
    }
    default:
      return effect satisfies never;
  }
}

function sized(answer: Answer, body: Content, length: number): Answer {
  return { ...answer, body, headers: { ...answer.headers, 'content-length': String(length) } };
}

function cut(content: Content, sizeBytes: number): Content {
  return { sizeBytes, read: (start, end) => content.read(start, Math.min(end, sizeBytes)) };
}

function padded(content: Content, bytes: number): Content {
  const { sizeBytes } = content;
  return {
    sizeBytes: sizeBytes + bytes,
    *read(start, end): Iterable<Buffer> {
      yield* content.read(start, Math.min(end, sizeBytes));
      const extra = end - Math.max(start, sizeBytes);
      if (extra > 0) yield Buffer.alloc(extra, 0x55);
    },
  };
}

function flipped(content: Content, atByte: number): Content {
  return {
    sizeBytes: content.sizeBytes,
    *read(start, end): Iterable<Buffer> {
      let at = start;
      for (const chunk of content.read(start, end)) {
        const index = atByte - at;
        at += chunk.length;
        if (index < 0 || index >= chunk.length) {
          yield chunk;
          continue;
        }
        const copy = Buffer.from(chunk);
        copy[index] = (copy[index] ?? 0) ^ 1;
        yield copy;
      }
    },
  };
}

/** Reads and drops the first bytes of a request's body. */
async function readSome(request: RegistryRequest, bytes: number): Promise<void> {
  if (bytes === 0) return;
  let seen = 0;
  for await (const chunk of request.body) {
    seen += chunk.length;
    if (seen >= bytes) return;
  }
}
