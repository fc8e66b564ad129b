import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { downloadTickets } from '../../stand-ins/registry/download-ticket.ts';

describe('download ticket', () => {
  it('names a blob to the registry that issued it', () => {
    const tickets = downloadTickets(() => 0);
    const ticket = tickets.sign({ pool: 'p/r', digest: 'sha256:0', expiresMs: 1 });
    assert.match(ticket, /^[\w.-]+$/);
    assert.equal(tickets.read(ticket)?.pool, 'p/r');
    assert.equal(downloadTickets(() => 0).read(ticket), undefined);
  });
});
