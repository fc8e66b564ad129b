import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { loadServices } from '../../stand-ins/pubsub/protos.ts';

describe('services', () => {
  it('have the methods and paths of the API', () => {
    const { publisher, subscriber, iamPolicy } = loadServices();
    assert.equal(publisher['Publish']?.path, '/google.pubsub.v1.Publisher/Publish');
    assert.equal(subscriber['StreamingPull']?.path, '/google.pubsub.v1.Subscriber/StreamingPull');
    assert.equal(subscriber['StreamingPull'].responseStream, true);
    assert.equal(
      iamPolicy['TestIamPermissions']?.path,
      '/google.iam.v1.IAMPolicy/TestIamPermissions',
    );
  });

  it('write permissions as the wire has them', () => {
    const { responseSerialize } = loadServices().iamPolicy['TestIamPermissions'] ?? {};
    // Field 1, length-delimited, 3 bytes.
    assert.deepEqual(
      responseSerialize?.({ permissions: ['abc'] }),
      Buffer.from([0x0a, 3, 0x61, 0x62, 0x63]),
    );
  });
});
