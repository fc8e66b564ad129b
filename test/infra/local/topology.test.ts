import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseLocalOptions } from '../../../infra/local/options.ts';
import { startTopology, type Topology } from '../../../infra/local/topology.ts';

const silent = {
  onLine: () => undefined,
  onMessage: () => undefined,
  onDeath: () => undefined,
};

async function answers(topology: Topology): Promise<boolean> {
  return fetch(`${topology.destinationUrl}/v2/`).then(
    () => true,
    () => false,
  );
}

describe('startTopology', () => {
  it('starts everything as a stand-in and leaves nothing behind', async () => {
    const topology = await startTopology(parseLocalOptions([]), silent);
    assert.equal(topology.source?.images.length, 6);
    assert.equal(topology.places.length, 4);
    assert.match(topology.destinationAuthorization?.() ?? '', /^Bearer /);
    assert.ok(await answers(topology));
    await topology.close();
    assert.ok(!(await answers(topology)));
    await topology.close();
  });

  for (const [registry, url] of [
    ['localhost:5000/mirror', 'http://localhost:5000'],
    ['127.0.0.1:5000', 'http://127.0.0.1:5000'],
    ['registry.example.com/mirror', 'https://registry.example.com'],
  ] as const) {
    it(`speaks to ${registry} as ${url}`, async () => {
      const options = parseLocalOptions([`--destination-registry=${registry}`]);
      const topology = await startTopology(options, silent);
      assert.equal(topology.destinationUrl, url);
      assert.equal(topology.destinationAuthorization, undefined);
      await topology.close();
    });
  }
});
