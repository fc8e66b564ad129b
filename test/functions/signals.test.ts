import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';

/** Runs a script with the module at hand until it prints `ready`, signals it, and tells how it ended. */
async function signalled(
  script: string,
  signal: NodeJS.Signals,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: process.cwd(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (chunk.includes('ready')) child.kill(signal);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

const head = `
  import { endAtDefects, endOnSignals, takeOverSignals } from './functions/signals.ts';
  import { setTimeout as delay } from 'node:timers/promises';
  setInterval(() => undefined, 1000);
`;

describe('signals', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`end the process in order at ${signal}`, async () => {
      const { code, output } = await signalled(
        `${head}
        endOnSignals(process, async () => { await delay(50); console.log('shut down'); });
        console.log('ready');`,
        signal,
      );
      assert.equal(code, 0);
      assert.match(output, /shut down/);
    });
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`take over from the framework's handlers of ${signal}, and from no others`, async () => {
      const { code, output } = await signalled(
        `${head}
        function sendCrashResponse(code) { if (code !== 0) process.exit(9); }
        takeOverSignals(process, async () => { await delay(50); console.log('shut down'); });
        process.on('${signal}', () => { sendCrashResponse(); });
        process.on('${signal}', () => { console.log('another'); });
        process.on('exit', (code) => { sendCrashResponse(code); console.log('exit'); });
        await delay(20);
        console.log('ready');`,
        signal,
      );
      assert.equal(code, 0);
      assert.match(output, /another[\s\S]*shut down[\s\S]*exit/);
    });
  }

  for (const [name, defect] of [
    ['an exception', "setImmediate(() => { throw new Error('unforeseen'); });"],
    ['an error event', "new EventEmitter().emit('error', new Error('unforeseen'));"],
    ['a rejection', "Promise.reject(new Error('unforeseen'));"],
  ] as const) {
    it(`are not needed where ${name} is caught by nothing: it is told, and ends the process with 1`, async () => {
      const { code, output } = await signalled(
        `${head}
        import { EventEmitter } from 'node:events';
        endAtDefects(process, (error) => { console.log('told', error.message); },
          async () => { await delay(50); console.log('shut down'); });
        setImmediate(() => { ${defect} });`,
        'SIGTERM',
      );
      assert.equal(code, 1);
      assert.match(output, /^told unforeseen\nshut down\n$/);
    });
  }

  for (const [name, script] of [
    [
      'errors without end',
      `const again = () => { process.nextTick(again); throw new Error('unforeseen'); };
       endAtDefects(process, () => console.log('told'), () => delay(60_000), 300);
       setImmediate(again);`,
    ],
    [
      'an error of telling it',
      `endAtDefects(process, () => { console.log('told'); throw new Error('deaf'); }, () => delay(20));
       setImmediate(() => { throw new Error('unforeseen'); });`,
    ],
    [
      'a stream that nobody reads any more',
      `endAtDefects(process, () => {
         console.log('told');
         process.stderr.emit('error', new Error('EPIPE'));
         setImmediate(() => process.stderr.emit('error', new Error('EPIPE')));
       }, () => delay(20));
       setImmediate(() => { throw new Error('unforeseen'); });`,
    ],
    [
      'a shut-down that hangs',
      `endAtDefects(process, () => console.log('told'), () => new Promise(() => undefined), 300);
       setImmediate(() => { throw new Error('unforeseen'); });`,
    ],
  ] as const) {
    it(`are not needed where a defect meets ${name}: it is told once, and ends the process with 1`, async () => {
      const { code, output } = await signalled(
        `${head}
        ${script}`,
        'SIGTERM',
      );
      assert.deepEqual([code, output], [1, 'told\n']);
    });
  }

  it('end with 1 where a defect comes while they do', async () => {
    const { code, output } = await signalled(
      `${head}
      const shutDown = async () => { await delay(50); console.log('shut down'); };
      endOnSignals(process, shutDown);
      endAtDefects(process, (error) => { console.log('told', error.message); },
        () => new Promise(() => undefined));
      process.once('SIGTERM', () => { Promise.reject(new Error('unforeseen')); });
      console.log('ready');`,
      'SIGTERM',
    );
    assert.equal(code, 1);
    assert.match(output, /told unforeseen\nshut down\n$/);
  });

  it('end with 1 where the shut-down fails', async () => {
    const { code } = await signalled(
      `${head}
      endOnSignals(process, async () => { throw new Error('x'); });
      console.log('ready');`,
      'SIGTERM',
    );
    assert.equal(code, 1);
  });
});
