import type { RegistryContext } from '../context.ts';
import type { Answer, RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';
import { blobAnswer, blobUnknown } from './blobs.ts';

/** The far end of a blob's redirect: the ticket in the path is all the permission it needs. */
export function downloads(context: RegistryContext, request: RegistryRequest): Answer {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of a download`);
  }
  if (context.switches().blobRedirect === 'signed-other-host') requireSigned(context, request);
  const ticket = context.tickets.read(request.path.split('/').at(-1) ?? '');
  if (ticket === undefined) throw new RegistryRefusal(403, 'DENIED', 'the address has expired');
  const content = context.store.blobOfPool(ticket.pool, ticket.digest);
  if (content === undefined) throw blobUnknown(ticket.digest);
  return blobAnswer(context, request, content, ticket.digest);
}

/** Storage services refuse a signed request that bears a second credential. */
function requireSigned(context: RegistryContext, request: RegistryRequest): void {
  if (request.headers.authorization !== undefined) {
    throw new RegistryRefusal(400, 'UNSUPPORTED', 'Only one auth mechanism allowed');
  }
  if (request.query.get('X-Amz-Signature') !== context.tickets.signature(request.path)) {
    throw new RegistryRefusal(403, 'DENIED', 'The request signature does not match');
  }
}
