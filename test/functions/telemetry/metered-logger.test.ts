import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger, type LogFields } from '../../../functions/telemetry/logger.ts';
import { meteredLogger } from '../../../functions/telemetry/metered-logger.ts';

describe('metered logger', () => {
  it('records lines that have an entry, with all their fields, whatever is written', () => {
    const recorded: LogFields[] = [];
    const written: string[] = [];
    const logger = meteredLogger(
      createLogger({ level: 'error', write: (line) => written.push(line) }),
      (fields) => recorded.push(fields),
    ).child({ image: 'x', entry: 'tag' });
    logger.debug('a', { outcome: 'skipped' });
    logger.info('b', { outcome: 'copied' });
    logger.notice('c');
    logger.warning('d', { entry: 'event' });
    logger.error('e', { entry: undefined });
    logger.log('ALERT', 'f');
    assert.deepEqual(recorded, [
      { image: 'x', entry: 'tag', outcome: 'skipped' },
      { image: 'x', entry: 'tag', outcome: 'copied' },
      { image: 'x', entry: 'tag' },
      { image: 'x', entry: 'event' },
      { image: 'x', entry: 'tag' },
    ]);
    assert.equal(written.length, 2);
  });
});
