import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, mock, type TestContext } from 'node:test';

import { readJobConfig, type Environment } from '../../../functions/config.ts';
import { encodeEvent } from '../../../functions/contract/codec.ts';
import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { run } from '../../../functions/job/run.ts';
import { deadlineOf, logOf, type RunParts } from '../../../functions/job/session.ts';
import type { ReportDocument } from '../../../functions/report/report-document.ts';
import { deadLetter } from '../../../functions/subscriber/dead-letter.ts';
import {
  processEnd,
  type EndableProcess,
} from '../../../functions/subscriber/delivery-deadline.ts';
import { eventVariable } from '../../../functions/subscriber/cloud-run-job.ts';
import { topicPublisher } from '../../../functions/pubsub/publisher.ts';
import { buildManifest } from '../../stand-ins/images/image.ts';
import type { AnswerFault } from '../../stand-ins/registry/fault-rule.ts';
import { startRegistries, tagsOf, type Registries } from '../registries.ts';
import { PROJECT, startBroker, type Broker } from '../pubsub/broker.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { serve } from '../registry/setting.ts';
import { withMetadata } from '../auth/metadata.ts';
import { rejection } from '../../faults.ts';

/** A docker config that is in effect, for no host that is asked here. */
const FILLED = JSON.stringify({ auths: { 'r.example': { username: 'u', password: 'w' } } });

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** All that a republication has to be told. */
const REPUBLISHER = { GOOGLE_CLOUD_PROJECT: PROJECT };

/** @param onPrint called as a line is printed; given: standard error is a terminal */
async function runJob(
  argv: readonly string[],
  env: Environment = {},
  end: EndableProcess = processEnd(Date.now),
  onPrint?: () => void,
): Promise<Ran> {
  let [stdout, stderr] = ['', ''];
  const code = await run({
    config: readJobConfig(argv, env),
    env,
    end,
    // Nobody else reads.
    comesBackMs: 0,
    streams: {
      stdout: {
        write: (text) => {
          stdout += text;
          onPrint?.();
        },
      },
      stderr: {
        isTTY: onPrint !== undefined,
        write: (text) => {
          stderr += text;
        },
      },
    },
  });
  return { code, stdout, stderr };
}

/** Drains a subscription, and tells the last line of it. */
async function drain(
  subscription: string,
  env: Environment,
  ...more: readonly string[]
): Promise<Ran & { readonly said: Readonly<Record<string, unknown>> }> {
  const ran = await runJob(['--drain', subscription, '--drain-idle', '3s', ...more], env);
  const lines = linesOf(ran.stdout);
  const said = lines.find(({ entry }) => entry === 'drain' || entry === 'republish') ?? {};
  return { ...ran, said };
}

/** The broker tells nobody what a subscription is. */
function hideSubscriptions({ pubsub }: Broker): void {
  pubsub.faults.add({ method: 'GetSubscription', kind: 'refused', status: 'PERMISSION_DENIED' });
}

/** What a registry answers. */
function answers(status: number, code: string): { readonly effect: AnswerFault } {
  return { effect: { kind: 'answer', status, errors: [{ code, message: 'x' }] } };
}

function linesOf(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('run of images', () => {
  let registries: Registries;
  before(async () => {
    registries = await startRegistries();
  });
  after(async () => registries.close());

  const into = (path: string): string[] => [
    '--destination-registry',
    `${registries.destination.host}/${path}`,
    '--destination-layout',
    'path',
  ];
  const image = (repository: string): string[] => [
    '--image',
    `${registries.source.host}/${repository}`,
  ];

  it('copies every tag, prints its outcome, and exits 0', async () => {
    const { code, stdout, stderr } = await runJob([
      ...image('demo/api'),
      ...image('demo/payments'),
      ...into('a'),
    ]);
    assert.equal(code, 0, stdout);
    assert.equal(stderr, '');
    for (const repository of ['demo/api', 'demo/payments']) {
      assert.deepEqual(
        tagsOf(registries.destination, `a/${repository}`),
        tagsOf(registries.source, repository),
      );
    }
    assert.match(stdout, /^copied {11}\S+demo\/api:1\.0\.0 {2}/m);
    assert.match(stdout, /^2 repositories: 9 copied; /m);
  });

  it('copies the tags that are named, and exits 1 where one is not there', async () => {
    const named = await runJob([...image('demo/api'), '--tag', '1.0.1', ...into('b')]);
    assert.equal(named.code, 0);
    assert.deepEqual(Object.keys(tagsOf(registries.destination, 'b/demo/api')), ['1.0.1']);
    const absent = await runJob([...image('demo/api'), '--tag', 'absent', ...into('b')]);
    assert.equal(absent.code, 1);
    assert.match(absent.stdout, /^lost /m);
    assert.match(absent.stderr, /^no such tag \(1\): /m);
  });

  it('changes nothing in a dry run', async () => {
    const { code, stdout } = await runJob([...image('demo/api'), ...into('c'), '--dry-run']);
    assert.equal(code, 0);
    assert.equal(stdout.match(/^would-copy /gm)?.length, 3);
    assert.deepEqual(tagsOf(registries.destination, 'c/demo/api'), {});
  });

  it('shows tags and bytes so far where a person looks on', async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    try {
      const argv = [...image('demo/api'), ...into('seen'), '--tag', '1.0.1'];
      const { stderr } = await runJob(argv, {}, undefined, () => {
        mock.timers.tick(200);
      });
      assert.match(stderr, /1 tags, [1-9]/);
    } finally {
      mock.timers.reset();
    }
  });

  it('prints one document with -o json, and nothing else', async () => {
    const { code, stdout, stderr } = await runJob([
      ...image('demo/web'),
      ...into('d'),
      '-o',
      'json',
    ]);
    assert.equal(code, 0);
    assert.equal(stderr, '');
    const document = JSON.parse(stdout) as ReportDocument;
    assert.equal(document.kind, 'MirrorReport');
    assert.equal(document.summary.counts.copied, 3);
  });

  it('tries again what fails in passing, as long as it takes or may take', async () => {
    for (const argv of [[], ['--timeout', '1h']]) {
      registries.source.faults.add({
        path: /demo\/web\/tags\/list/,
        times: 1,
        ...answers(503, 'UNAVAILABLE'),
      });
      const { code, stdout } = await runJob([...image('demo/web'), ...into('again'), ...argv]);
      assert.equal(code, 0, stdout);
    }
  });

  it('exits 1 where tags fail, and advises once for all of them', async () => {
    const refused = registries.destination.faults.add({
      path: /\/blobs\/uploads/,
      times: Number.POSITIVE_INFINITY,
      ...answers(404, 'NAME_UNKNOWN'),
    });
    const { code, stderr } = await runJob([...image('demo/api'), ...into('refused')]);
    refused.remove();
    assert.equal(code, 1);
    assert.match(stderr, /^NOT_FOUND at the destination \(3\): Create the repository/m);
  });

  it('exits 1 where a repository is not there, and mirrors the others', async () => {
    const argv = [...image('demo/absent'), ...image('demo/legacy'), ...into('e')];
    const { code, stderr } = await runJob(argv);
    assert.equal(code, 1);
    assert.match(stderr, /^no such repository \(1\): /m);
    assert.equal(Object.keys(tagsOf(registries.destination, 'e/demo/legacy')).length, 3);
  });

  it('exits 1 where a tag is not as it is at the source: drifted, or lost', async () => {
    await runJob([...image('demo/api'), ...into('drift')]);
    const { store } = registries.destination;
    const wrong = store.digestOfTag('drift/demo/api', '1.0.1') ?? '';
    store.setTag('drift/demo/api', '1.0.0', wrong);
    const drifted = await runJob([...image('demo/api'), ...into('drift'), '--on-drift', 'report']);
    assert.match(drifted.stdout, /^drifted +\S+:1\.0\.0/m);
    assert.equal(drifted.code, 1);
    registries.source.faults.add({
      path: /demo\/api\/manifests\/1\.0\.1/,
      times: 1,
      ...answers(404, 'MANIFEST_UNKNOWN'),
    });
    const lost = await runJob([...image('demo/api'), ...into('lost')]);
    assert.match(lost.stdout, /^lost +\S+:1\.0\.1/m);
    assert.equal(lost.code, 1);
  });

  it('exits 1 when it is interrupted', async () => {
    const end = processEnd(Date.now);
    registries.source.set({ rttMs: 100 });
    const running = runJob([...image('demo/ledger'), ...into('f')], {}, end);
    end.tell();
    const { code } = await running;
    registries.source.set({ rttMs: 0 });
    assert.equal(code, 1);
  });

  it('lifts the brake, and verifies all that is there', async () => {
    await runJob([...image('demo/api'), ...into('g')]);
    const { store } = registries.destination;
    const wrong = store.digestOfTag('g/demo/api', '1.0.1') ?? '';
    store.setTag('g/demo/api', '1.0.0', wrong);
    const { stdout } = await runJob([...image('demo/api'), ...into('g')], {
      // Of the deployment, whose job is executed for an image.
      CLOUD_RUN_JOB: 'mirror',
      MAX_MISSING_TAGS: '1',
    });
    assert.match(stdout, /^overwritten +\S+:1\.0\.0/m);
  });
});

describe('run of an event', () => {
  let registries: Registries;
  before(async () => {
    registries = await startRegistries();
  });
  after(async () => registries.close());

  const env = (event: string): Environment => ({
    EVENT: event,
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${registries.destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
  });

  it('does what the event asks for, by structured lines', async () => {
    const event = sampleEvent({ image: `${registries.source.host}/demo/api`, tags: ['1.0.0'] });
    const { code, stdout } = await runJob([], env(eventVariable(event)));
    assert.equal(code, 0);
    assert.deepEqual(Object.keys(tagsOf(registries.destination, 'm/demo/api')), ['1.0.0']);
    assert.deepEqual(
      linesOf(stdout)
        .map(({ entry }) => entry)
        .filter((entry) => entry !== 'requests'),
      ['tag', 'event'],
    );
  });

  it('gives its figures away after the event, and when it ends', async (t) => {
    const paths: (string | undefined)[] = [];
    const collector = await serve(t, (request, response) => {
      paths.push(request.url);
      request.resume().on('end', () => response.end());
    });
    const event = sampleEvent({ image: `${registries.source.host}/demo/api` });
    await runJob([], { ...env(eventVariable(event)), OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    assert.deepEqual(paths, ['/v1/metrics', '/v1/metrics']);
  });

  it('does not have Cloud Run repeat what was acknowledged', async () => {
    const repository = 'demo/permanent';
    await registries.push(repository, '1.0');
    const huge = buildManifest('application/vnd.oci.image.index.v1+json', {
      manifests: [],
      annotations: { padding: 'x'.repeat(4 * 1024 * 1024) },
    });
    registries.source.store.putManifest(repository, huge, 'huge');
    const event = sampleEvent({ image: `${registries.source.host}/${repository}` });
    const { code, stdout } = await runJob([], {
      ...env(eventVariable(event)),
      CLOUD_RUN_TASK_ATTEMPT: '0',
    });
    const line = linesOf(stdout).find(({ entry }) => entry === 'event');
    assert.deepEqual(
      [line?.['decisionReason'], line?.['failed'], code],
      ['PermanentFailures', 1, 0],
    );
  });

  it('obeys the rules of the service', async () => {
    const event = sampleEvent({ image: `${registries.source.host}/demo/api` });
    const { code } = await runJob([], { ...env(eventVariable(event)), ALLOWED_SOURCES: 'ghcr.io' });
    assert.equal(code, 1);
  });

  it('prints one document with -o json, and its lines beside it', async () => {
    const event = sampleEvent({ image: `${registries.source.host}/demo/web` });
    const { stdout, stderr } = await runJob(['-o', 'json'], env(eventVariable(event)));
    assert.equal((JSON.parse(stdout) as ReportDocument).repositories.length, 1);
    assert.ok(linesOf(stderr).some(({ entry }) => entry === 'event'));
  });

  it('refuses an event that is none', async () => {
    await rejection(runJob([], env('{')), 'OPTION_INVALID');
  });
});

describe('deadlineOf', () => {
  const streams = { stdout: { write: () => undefined }, stderr: { write: () => undefined } };
  for (const [timeout, taskSeconds, endsAfterMs] of [
    ['0', '0', Infinity],
    ['90s', '0', 90_000],
    ['0', '300', 270_000],
    ['0', '3600', 3_540_000],
    ['90s', '300', 90_000],
    ['10m', '300', 270_000],
  ] as const) {
    it(`ends ${timeout} of a task’s ${taskSeconds} s after ${endsAfterMs} ms`, () => {
      const env = { EVENT: '{}', LOCAL: 'true', TASK_TIMEOUT_SECONDS: taskSeconds };
      const config = readJobConfig(
        ['--timeout', timeout, '--destination-registry', 'r.example/m'],
        env,
      );
      const fromMs = Date.now();
      const deadline = deadlineOf({ config, env, end: processEnd(Date.now), streams });
      deadline.release();
      const afterMs = deadline.endsAtMs - fromMs;
      // The clock goes on while this is read.
      assert.ok(afterMs >= endsAfterMs && afterMs - 10_000 <= endsAfterMs, String(afterMs));
    });
  }
});

describe('logOf', () => {
  for (const [output, isTerminal, expected] of [
    ['text', false, 'stdout json'],
    ['text', true, 'stdout console'],
    ['json', false, 'stderr json'],
    ['json', true, 'stderr console'],
  ] as const) {
    it(`writes ${expected} beside ${output} ${isTerminal ? 'at' : 'without'} a terminal`, () => {
      const env = { EVENT: '{}', LOCAL: 'true' };
      const argv = ['-o', output, '--destination-registry', 'r.example/m'];
      const config = readJobConfig(argv, env);
      const written: string[] = [];
      const to = (name: string): RunParts['streams']['stderr'] => ({
        isTTY: isTerminal,
        write: (line) => written.push(`${name} ${line.startsWith('{') ? 'json' : 'console'}`),
      });
      const streams = { stdout: to('stdout'), stderr: to('stderr') };
      const { logger, progress } = logOf({ config, env, end: processEnd(Date.now), streams });
      logger.info('said');
      progress.end();
      assert.deepEqual(written, [expected]);
    });
  }
});

describe('run that must wait', () => {
  async function against(listener: RequestListener, ...argv: string[]): Promise<Ran> {
    const server = createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      return await runJob([
        ...['--image', `${host}/busy`, '--destination-registry', `${host}/m`],
        ...argv,
      ]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  it('says who asks for a pause, for how long, and ends with RATE_LIMITED and exit 1', async () => {
    const { code, stdout, stderr } = await against(
      (_request, response) => response.writeHead(429, { 'retry-after': '300' }).end(),
      ...['--timeout', '60s'],
    );
    assert.equal(code, 1);
    assert.match(stdout, /RATE_LIMITED/);
    assert.match(stderr, /^RATE_LIMITED at the \w+ \(1\): /m);
    assert.match(stderr, /127\.0\.0\.1:\d+ \(\w+\) asks for a pause of 300 s, until \d{4}-/);
  });

  for (const argv of [[], ['--republish', 'again']]) {
    it(`waits for credentials no longer than it may, ${argv[0] ?? '--drain'}`, async (t) => {
      const metadata = await serve(t, () => undefined);
      withMetadata(t, metadata.host);
      const drained = { LOCAL: 'true', DESTINATION_REGISTRY: 'r.example/m' };
      const env = { ...REPUBLISHER, ...(argv.length === 0 ? drained : {}) };
      const ran = runJob(['--drain', 'bulk', '--timeout', '300ms', ...argv], env);
      const { message } = await rejection(ran, 'CREDENTIALS_UNAVAILABLE');
      assert.match(message, /the run ended before they came/);
    });
  }

  it('ends with DEADLINE_EXCEEDED where nothing throttles', async () => {
    const { code, stdout, stderr } = await against(() => undefined, '--timeout', '200ms');
    assert.equal(code, 1);
    assert.doesNotMatch(stderr, /asks for a pause/);
    assert.match(stdout, /DEADLINE_EXCEEDED/);
  });

  it('ends a wait that was within the time when it began', async () => {
    // Every pause is shorter than what is left, until the time is over.
    const { code, stdout } = await against(
      (_request, response) => response.writeHead(429, { 'retry-after': '1' }).end(),
      ...['--timeout', '1500ms'],
    );
    assert.equal(code, 1);
    assert.match(stdout, /RATE_LIMITED/);
  });
});

describe('drain', () => {
  let registries: Registries;
  let broker: Broker;
  before(async () => {
    registries = await startRegistries();
    broker = await startBroker('bulk', 'dead', 'again');
    process.env['PUBSUB_EMULATOR_HOST'] = broker.pubsub.host;
  });
  after(async () => {
    delete process.env['PUBSUB_EMULATOR_HOST'];
    await broker.close();
    await registries.close();
  });

  /** A broker that a job finds until the test ends. */
  async function ownBroker(t: TestContext, ...topics: readonly string[]): Promise<Broker> {
    const own = await startBroker(...topics);
    process.env['PUBSUB_EMULATOR_HOST'] = own.pubsub.host;
    t.after(async () => {
      process.env['PUBSUB_EMULATOR_HOST'] = broker.pubsub.host;
      await own.close();
    });
    return own;
  }

  const env = (): Environment => ({
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${registries.destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
    GOOGLE_CLOUD_PROJECT: PROJECT,
    DEAD_LETTER_TOPIC: 'dead',
  });

  it('executes what is in a subscription, and puts aside what can never succeed', async () => {
    const bulk = topicPublisher(broker.client, 'bulk');
    for (const repository of ['demo/api', 'demo/web', 'demo/legacy']) {
      const data = {
        image: `${registries.source.host}/${repository}`,
        imageRepository: { namespace: 'n', name: 'x', uid: repository },
      };
      await bulk.publish(encodeEvent(sampleEvent(data)));
    }
    await bulk.publish({ attributes: { team: 'a' }, data: Buffer.from('{') });
    await bulk.publish(encodeEvent(sampleEvent({ destination: 'not/granted' })));
    const { code, said } = await drain('bulk', env());
    assert.equal(
      said['message'],
      'drained 5 messages: 3 events executed, 0 replaced by newer ones, 2 put aside, 0 handed back',
    );
    assert.equal(said['failedEvents'], 1);
    assert.equal(code, 0);
    for (const repository of ['demo/api', 'demo/web', 'demo/legacy']) {
      assert.deepEqual(
        tagsOf(registries.destination, `m/${repository}`),
        tagsOf(registries.source, repository),
      );
    }
  });

  it('hands back what an operator can mend: the last copy is not acknowledged', async (t) => {
    const own = await ownBroker(t, 'letters');
    const config = join(mkdtempSync(join(tmpdir(), 'drain-')), 'config.json');
    writeFileSync(config, FILLED);
    const image = `${registries.source.host}/demo/api`;
    await topicPublisher(own.client, 'letters').publish(
      deadLetter(encodeEvent(sampleEvent({ image })), { code: 'RATE_LIMITED', field: undefined }),
    );
    const refused = registries.destination.faults.add({
      path: /\/blobs\/uploads/,
      times: Number.POSITIVE_INFINITY,
      ...answers(404, 'NAME_UNKNOWN'),
    });
    const left = (): number | undefined =>
      own.pubsub.view.subscription(`projects/${PROJECT}/subscriptions/letters`)?.acknowledged;
    const drained = async (): Promise<readonly unknown[]> => {
      const lane = {
        ...env(),
        DESTINATION_REGISTRY: `${registries.destination.host}/mended`,
        ALLOWED_SOURCES: `${registries.source.host}/*`,
      };
      const { code, said } = await drain('letters', lane, '--docker-config', config);
      return [code, said['executed'], said['handedBack'], said['failedEvents'], left()];
    };
    assert.deepEqual(await drained(), [1, 0, 1, 1, 0]);
    refused.remove();
    writeFileSync(config, '{"credsStore": "desktop"}');
    await rejection(drained(), 'OPTION_INVALID');
    writeFileSync(config, FILLED);
    assert.deepEqual(await drained(), [0, 1, 0, 0, 1]);
  });

  it('changes nothing in a dry run, of a drain and of a republication', async (t) => {
    const own = await ownBroker(t, 'dry', 'target');
    const image = `${registries.source.host}/demo/api`;
    const dry = topicPublisher(own.client, 'dry');
    await dry.publish(encodeEvent(sampleEvent({ image })));
    await dry.publish({ attributes: {}, data: Buffer.from('{') });
    const lane = {
      ...env(),
      DESTINATION_REGISTRY: `${registries.destination.host}/dry`,
      DEAD_LETTER_TOPIC: 'target',
      CLOUD_RUN_JOB: 'mirror',
    };
    const drained = await drain('dry', lane, '--dry-run');
    assert.equal(drained.code, 0);
    assert.equal(
      drained.said['message'],
      'looked at 2 messages: 1 events would be executed, 0 would be replaced by newer ones, ' +
        '1 would be put aside, 2 handed back',
    );
    const { code, said } = await drain('dry', lane, '--dry-run', '--republish', 'target');
    assert.equal(code, 0);
    assert.equal(said['message'], 'would republish 2 of 2 messages to target, 2 handed back');
    assert.deepEqual(tagsOf(registries.destination, 'dry/demo/api'), {});
    assert.deepEqual(own.pubsub.view.messages(`projects/${PROJECT}/topics/target`), []);
    const left = own.pubsub.view.subscription(`projects/${PROJECT}/subscriptions/dry`);
    assert.equal(left?.acknowledged, 0);
  });

  for (const mayRead of [true, false]) {
    it(`refuses to republish onto the drained topic, ${mayRead ? '' : 'not '}told its name`, async (t) => {
      const own = await ownBroker(t, 'loop');
      if (!mayRead) hideSubscriptions(own);
      await topicPublisher(own.client, 'loop').publish(encodeEvent(sampleEvent()));
      await rejection(
        runJob(['--drain', 'loop', '--drain-idle', '20s', '--republish', 'loop'], REPUBLISHER),
        'OPTION_INVALID',
      );
      const left = own.pubsub.view.subscription(`projects/${PROJECT}/subscriptions/loop`);
      assert.equal((left?.undelivered ?? 0) + (left?.outstanding ?? 0), 1);
    });
  }

  it('republishes the dead letters of a code, and leaves the others', async () => {
    const dead = topicPublisher(broker.client, 'dead');
    const message = encodeEvent(sampleEvent({ tags: ['again'] }));
    await dead.publish(deadLetter(message, { code: 'SOURCE_FORBIDDEN', field: 'data.image' }));
    await dead.publish(deadLetter(message, { code: 'EVENT_INVALID', field: 'x' }));
    const argv = ['--republish', 'again', '--filter', 'code=SOURCE_FORBIDDEN'];
    const { code, said } = await drain('dead', REPUBLISHER, ...argv);
    assert.equal(code, 0);
    assert.equal(said['message'], 'republished 1 of 4 messages to again, 3 handed back');
    const again = broker.pubsub.view.messages(`projects/${PROJECT}/topics/again`);
    assert.deepEqual(
      again.map(({ attributes }) => ({ ...attributes })),
      [message.attributes],
    );
    const name = `projects/${PROJECT}/subscriptions/dead`;
    await broker.pubsub.view.until((view) => view.subscription(name)?.outstanding === 0);
    // The other, and the messages that the drain before put aside.
    assert.equal(broker.pubsub.view.subscription(name)?.undelivered, 3);
    const failed = await drain('dead', REPUBLISHER, '--republish', 'absent');
    assert.deepEqual([failed.code, failed.said['failed'], failed.said['handedBack']], [1, 3, 3]);
  });

  it('finds the dead letters of a code behind thousands of others', async (t) => {
    const crowd = await ownBroker(t, 'dead', 'again');
    const wanted = 20;
    const codes = [
      ...Array<ErrorCode>(1500).fill('EVENT_INVALID'),
      ...Array<ErrorCode>(wanted).fill('SOURCE_FORBIDDEN'),
    ];
    const dead = topicPublisher(crowd.client, 'dead');
    await Promise.all(
      codes.map(async (code, index) => {
        const message = encodeEvent(sampleEvent({ tags: [`again-${index}`] }));
        return dead.publish(deadLetter(message, new MirrorError(code, 'x')));
      }),
    );
    const argv = ['--republish', 'again', '--filter', 'code=SOURCE_FORBIDDEN'];
    const { code, said } = await drain('dead', REPUBLISHER, ...argv);
    assert.deepEqual([said['republished'], said['handedBack'], code], [wanted, 1500, 0]);
  });

  it('waits in haste for what another reader took by its own deadline alone', async () => {
    const end = processEnd(Date.now);
    let told = '';
    const write = (text: string): void => {
      told += text;
      if (text.includes('are waited for')) end.tell();
    };
    const config = readJobConfig(['--drain', 'bulk', '--drain-idle', '1s'], env());
    const streams = { stdout: { write }, stderr: { write } };
    assert.equal(await run({ config, env: env(), end, streams }), 1);
    // The acknowledgement deadline is Pub/Sub's default of 10 s.
    assert.match(told, /come back within \d s, which are waited for/);
    assert.match(told, /stopped before bulk was empty/);
  });

  it('waits in haste for no reader whose deadline it may not read', async (t) => {
    const own = await ownBroker(t, 'unread');
    hideSubscriptions(own);
    const { code, stdout } = await drain('unread', env());
    assert.equal(code, 0);
    assert.ok(!stdout.includes('are waited for'), stdout);
  });

  it('fails where the subscription is not there', async () => {
    await rejection(runJob(['--drain', 'absent'], env()), 'PULL_FAILED');
  });
});
