import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseLocalOptions } from '../../../infra/local/options.ts';
import { startStage, type Stage } from '../../../infra/local/stage.ts';

const silent = {
  onLine: () => undefined,
  onMessage: () => undefined,
  onDeath: () => undefined,
};

async function answers(stage: Stage): Promise<boolean> {
  return fetch(`${stage.destinationUrl}/v2/`).then(
    () => true,
    () => false,
  );
}

describe('startStage', () => {
  it('starts everything as a stand-in and leaves nothing behind', async () => {
    const stage = await startStage(parseLocalOptions([]), silent);
    assert.equal(stage.source?.images.length, 6);
    assert.equal(stage.places.length, 4);
    assert.match(stage.destinationAuthorization?.() ?? '', /^Bearer /);
    assert.ok(await answers(stage));
    await stage.close();
    assert.ok(!(await answers(stage)));
    await stage.close();
  });

  for (const [registry, url] of [
    ['localhost:5000/mirror', 'http://localhost:5000'],
    ['127.0.0.1:5000', 'http://127.0.0.1:5000'],
    ['registry.example.com/mirror', 'https://registry.example.com'],
  ] as const) {
    it(`speaks to ${registry} as ${url}`, async () => {
      const options = parseLocalOptions([`--destination-registry=${registry}`]);
      const stage = await startStage(options, silent);
      assert.equal(stage.destinationUrl, url);
      assert.equal(stage.destinationAuthorization, undefined);
      await stage.close();
    });
  }
});
