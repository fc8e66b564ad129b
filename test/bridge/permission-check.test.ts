import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { beforeEach, describe, it } from 'node:test';

import { checkPermissions } from '../../bridge/permission-check.ts';
import { MirrorError } from '../../functions/errors.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { eventually, quick } from './stand-ins.ts';

let lines: string[] = [];
beforeEach(() => {
  lines = [];
});
const logger = createLogger({ write: (line) => lines.push(line) });

describe('checkPermissions', () => {
  it('asks until nothing is missing, telling each time', async () => {
    const answers = [['x lacks y on z'], ['x lacks y on z'], []];
    let asked = 0;
    const publisher = {
      missingPermissions: () => {
        asked += 1;
        return Promise.resolve(answers[asked - 1] ?? []);
      },
    };
    const { signal } = new AbortController();
    const check = checkPermissions(publisher, logger, signal, quick);
    assert.deepEqual(check.missing(), ['the credentials are being asked for']);
    await eventually('something is missing', () => check.missing()[0] === 'x lacks y on z');
    await eventually('nothing is missing', () => check.missing().length === 0);
    assert.equal(asked, 3);
    assert.equal(getEventListeners(signal, 'abort').length, 0, 'it waits to ask again');
    assert.equal(lines.filter((line) => line.includes('x lacks y on z')).length, 2);
  });

  it('stops asking when it is aborted', async () => {
    let asked = 0;
    const publisher = {
      missingPermissions: () => {
        asked += 1;
        return Promise.resolve(['x']);
      },
    };
    const controller = new AbortController();
    const check = checkPermissions(publisher, logger, controller.signal, {
      minMs: 3_600_000,
      maxMs: 3_600_000,
    });
    await eventually('it was asked', () => check.missing()[0] === 'x');
    controller.abort();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(asked, 1);
  });

  it('says what is missing where the credentials are, and goes on until they come', async () => {
    let away = true;
    const publisher = {
      missingPermissions: () =>
        away
          ? Promise.reject(new MirrorError('CREDENTIALS_UNAVAILABLE', 'no metadata server'))
          : Promise.resolve([]),
    };
    const check = checkPermissions(publisher, logger, new AbortController().signal, quick);
    await eventually('it is told twice', () => lines.length >= 2);
    assert.deepEqual(check.missing(), ['no metadata server']);
    away = false;
    await eventually('nothing is missing', () => check.missing().length === 0);
  });
});
