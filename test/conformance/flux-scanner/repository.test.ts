import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pendingRequest, REQUESTED_AT } from '../../stand-ins/flux-scanner/repository.ts';
import { scanned } from './repositories.ts';

describe('a requested scan', () => {
  it('is pending until its value was handled', () => {
    const metadata = { annotations: { [REQUESTED_AT]: 'now' } };
    assert.equal(pendingRequest(scanned({})), undefined);
    assert.equal(pendingRequest(scanned({ metadata })), 'now');
    assert.equal(
      pendingRequest(scanned({ metadata, status: { lastHandledReconcileAt: 'before' } })),
      'now',
    );
    assert.equal(
      pendingRequest(scanned({ metadata, status: { lastHandledReconcileAt: 'now' } })),
      undefined,
    );
  });
});
