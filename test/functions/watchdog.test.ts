import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Watchdog, type WatchdogFields } from '../../functions/watchdog.ts';
import { runEntry } from '../flow/entry.ts';
import { fakeTiming } from './registry/setting.ts';

interface Told {
  readonly message: string;
  readonly fields: WatchdogFields | undefined;
}

/** A watchdog of its own, which watches by time that a test moves, and what it tells. */
function watching(): {
  readonly dog: Watchdog;
  readonly pass: (minutes: number) => Promise<void>;
  readonly log: Parameters<Watchdog['tellUnsettled']>[0];
  readonly told: readonly Told[];
  readonly stop: () => void;
} {
  const [dog, time, told] = [new Watchdog(), fakeTiming(), [] as Told[]];
  const tell = (message: string, fields?: WatchdogFields): void =>
    void told.push({ message, fields });
  const log = { warning: tell, error: tell };
  const pass = (minutes: number): Promise<void> => time.pass(minutes * 60_000);
  return { dog, pass, log, told, stop: dog.watchSilence(log, time) };
}

describe('silence', () => {
  it('is told once after five minutes, and again after each further five', async () => {
    const { dog, pass, told } = watching();
    dog.begin('copy tag ghcr.io/x/y:1.0');
    await pass(4.9);
    assert.equal(told.length, 0);
    await pass(0.2);
    const fields = { entry: 'watchdog', open: 1, operations: ['copy tag ghcr.io/x/y:1.0'] };
    const line = (minutes: number): unknown => ({
      message: `nothing has moved for ${minutes} minutes: copy tag ghcr.io/x/y:1.0`,
      fields,
    });
    assert.deepEqual([...told], [line(5)]);
    await pass(4.7);
    assert.deepEqual([...told], [line(5)]);
    await pass(0.3);
    assert.deepEqual([...told], [line(5), line(10)]);
  });

  it('is broken by whatever begins, moves or ends', async () => {
    const { dog, pass, told } = watching();
    const ends = [dog.begin('a')];
    for (const sign of [
      () => ends.push(dog.begin('b')),
      () => {
        dog.moved();
      },
      () => {
        ends.pop()?.();
      },
    ]) {
      await pass(4);
      sign();
    }
    await pass(4);
    assert.deepEqual(told, []);
    await pass(1);
    assert.equal(told.length, 1);
  });

  it('means nothing where nothing is open but what lasts as long as the process', async () => {
    const { dog, pass, told } = watching();
    dog.begin('run the bridge', 'standing');
    const end = dog.begin('copy');
    end();
    await pass(15);
    assert.deepEqual(told, []);
  });

  it('is watched no more once the watch has ended', async () => {
    const { dog, pass, told, stop } = watching();
    dog.begin('copy');
    stop();
    await pass(60);
    assert.deepEqual(told, []);
  });
});

describe('the end', () => {
  it('tells what never settled, and nothing where all did', () => {
    const { dog, log, told } = watching();
    dog.begin('run the job', 'standing');
    dog.tellUnsettled(log);
    assert.deepEqual(told, []);
    dog.begin('copy');
    dog.tellUnsettled(log);
    const fields = { entry: 'watchdog', open: 1, operations: ['copy'] };
    assert.deepEqual([...told], [{ message: 'ended without what never settled: copy', fields }]);
  });
});

describe('a process whose work never settles', () => {
  const entry = 'test/functions/entries/unsettled.ts';

  it('names it in one structured line and ends with 70', async () => {
    const { code, stderr } = await runEntry(entry, ['json']);
    assert.equal(code, 70);
    const lines = stderr.split('\n').filter((line) => line.startsWith('{'));
    assert.equal(lines.length, 1);
    const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    assert.equal(line['severity'], 'ERROR');
    assert.equal(line['entry'], 'watchdog');
    assert.deepEqual(line['operations'], ['run the test', 'copy blob sha256:0 of ghcr.io/x/y']);
  });

  it('names at most 20 at the command line, and counts the others', async () => {
    const { code, stderr } = await runEntry(entry, ['console', '50']);
    assert.equal(code, 70);
    assert.match(stderr, /copy blob sha256:18 of ghcr\.io\/x\/y; and 31 more/);
    assert.doesNotMatch(stderr, /sha256:19/);
  });

  it('is left alone where it settles', async () => {
    const { code, stdout } = await runEntry('test/functions/entries/settled.ts', []);
    assert.equal(code, 3);
    assert.equal(stdout, '');
  });

  it('has what libraries warn of in its log, and nowhere as it is', async () => {
    const { stdout, stderr } = await runEntry('test/functions/entries/settled.ts', ['warning']);
    const { severity, message } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([severity, message], ['WARNING', 'MetadataLookupWarning: no project']);
    assert.doesNotMatch(stderr, /MetadataLookup/);
  });
});
