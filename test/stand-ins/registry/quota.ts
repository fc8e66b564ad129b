import { refusalAnswer, type Handler } from './exchange.ts';
import { RegistryRefusal } from './refusal.ts';
import { requestKind } from './request-kind.ts';

/** Docker Hub's window of six hours, in seconds. */
const PULL_WINDOW_SECONDS = 21_600;

/** Docker Hub's pull limit: GETs of manifests count, HEADs tell (Docker Hub, "Pull rate limit"). */
export function withPullLimit(
  handler: Handler,
  limits: () => { readonly pullLimit: number },
): Handler {
  let pulls = 0;
  return async (request) => {
    const limit = limits().pullLimit;
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (limit === 0 || !reads || requestKind(request.path) !== 'manifest') return handler(request);
    if (request.method === 'GET') pulls++;
    const answer = pulls > limit ? refusalAnswer(tooManyPulls()) : await handler(request);
    const headers = {
      ...answer.headers,
      'ratelimit-limit': `${limit};w=${PULL_WINDOW_SECONDS}`,
      'ratelimit-remaining': `${Math.max(limit - pulls, 0)};w=${PULL_WINDOW_SECONDS}`,
      'docker-ratelimit-source': '192.0.2.1',
    };
    return { ...answer, headers };
  };
}

function tooManyPulls(): RegistryRefusal {
  return new RegistryRefusal(
    429,
    'TOOMANYREQUESTS',
    'You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit',
  );
}
