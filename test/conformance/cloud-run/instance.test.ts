import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { startInstanceProcess } from '../../stand-ins/cloud-run/instance.ts';

const options = {
  command: ['functions/serve.ts'],
  env: { DESTINATION_REGISTRY: 'r.example/m' },
};

describe('instance process', () => {
  it('answers once it was started, and ends at SIGTERM', async () => {
    const instance = await startInstanceProcess(options);
    assert.equal((await fetch(instance.url)).status, 200);
    await instance.stop();
    assert.equal(await instance.gone, 0);
  });

  it('can be killed', async () => {
    const instance = await startInstanceProcess(options);
    instance.kill();
    assert.equal(await instance.gone, 137);
  });

  it('tells why it did not start', async () => {
    await assert.rejects(
      startInstanceProcess({ ...options, env: {} }),
      (error) => error instanceof Error && error.message.includes('DESTINATION_REGISTRY'),
    );
  });
});
