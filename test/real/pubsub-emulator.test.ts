import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { hasCause } from '../faults.ts';
import { required, skipUnless } from './servers/found.ts';
import { findPubsubEmulator, startPubsubEmulator } from './servers/pubsub-emulator.ts';

const search = findPubsubEmulator();

// What it does with messages: test/conformance/pubsub/.
describe("Google's Pub/Sub emulator", { skip: skipUnless(search) }, () => {
  it('is gone after its stop', async () => {
    const emulator = await startPubsubEmulator(required(search));
    assert.equal((await fetch(`http://${emulator.host}/`)).status, 200);
    await emulator.stop();
    await assert.rejects(fetch(`http://${emulator.host}/`), hasCause('ECONNREFUSED'));
  });
});
