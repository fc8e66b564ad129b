import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { queueClient } from '../../../../functions/subscriber/queue/client.ts';
import { startBroker } from './broker.ts';

describe('queue client', () => {
  it('is made once', async () => {
    const broker = await startBroker();
    try {
      assert.equal(await broker.client.get(), await broker.client.get());
    } finally {
      await broker.close();
    }
  });

  it('closes without having been used', async () => {
    await queueClient(undefined).close();
  });
});
