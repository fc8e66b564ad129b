import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readConfig } from '../../bridge/config.ts';
import { bridgeOptions } from '../../bridge/options.ts';
import { readJobConfig, readSubscriberConfig } from '../../functions/config.ts';
import { jobOptions } from '../../functions/job-options.ts';
import { subscriberOptions } from '../../functions/option-tables.ts';
import type { Option } from '../../functions/options/option.ts';
import { thrown } from '../faults.ts';

type Variables = Readonly<Record<string, string>>;

/** A situation of a process: what is given besides the option in question. */
interface Situation {
  readonly argv?: readonly string[];
  readonly env?: Variables;
}

/**
 * A value of an option, and the situations in which it does something; `all`: in every one. Of those
 * that choose the situation other tests say what may stand beside what.
 */
type Effects<O, S extends string> = Readonly<
  Record<keyof O, 'chooses' | readonly [value: string, worksIn: 'all' | readonly S[]]>
>;

function refuses(field: string, begin: () => unknown): void {
  assert.equal(thrown(begin, 'OPTION_INVALID').field, field);
}

/** Begins with each option alone, in each form, in each situation: it is in effect or refused by name. */
function check<O extends Readonly<Record<string, Option<unknown>>>, S extends string>(
  options: O,
  situations: Readonly<Record<S, Situation>>,
  effects: Effects<O, S>,
  read: (argv: readonly string[], env: Variables) => unknown,
): void {
  for (const [situation, { argv = [], env = {} }] of Object.entries<Situation>(situations)) {
    for (const [name, option] of Object.entries(options)) {
      const effect = effects[name as keyof O];
      const forms = [option.flag, option.env].filter((form) => form !== undefined);
      const isGiven = forms.some(
        (form) => form in env || argv.some((argument) => argument.split('=', 1)[0] === form),
      );
      if (effect === 'chooses' || isGiven) continue;
      const [value, worksIn] = effect;
      const works = worksIn === 'all' || worksIn.includes(situation as S);
      for (const written of forms) {
        const isFlag = written.startsWith('-');
        it(`${works ? 'takes' : 'refuses'} ${written} with ${situation}`, () => {
          const begin = (): unknown =>
            isFlag
              ? read([...argv, `${written}=${value}`], env)
              : read(argv, { ...env, [written]: value });
          if (works) begin();
          else refuses(written, begin);
        });
      }
    }
  }
}

const REGISTRY = { DESTINATION_REGISTRY: 'r.example/m' };
const MIRRORING = ['--image', 'EVENT', '--drain'] as const;
const EXECUTING = ['EVENT', '--drain'] as const;
const MIRROR_VALUES = {
  destinationRegistry: 'r.example/m',
  destinationLayout: 'path',
  tagWorkers: '2',
  allowedSources: 'ghcr.io/org/*',
  include: 'a',
  exclude: 'a',
  semver: '>1',
  latest: '3',
  verifyTags: 'all',
  mutableTags: 'a',
  onDrift: 'report',
  backupTag: 'backup-{tag}-{digest}',
  platforms: 'linux/amd64',
  referrers: 'false',
  googleRegistryHosts: 'localhost:5000',
  privateHosts: 'r.corp',
  insecureSources: 'ghcr.io/org/*',
  insecureDestination: 'true',
  sourceCaFile: 'ca.pem',
  dockerConfigFile: 'config.json',
  allowedDestinations: 'team=team/*',
  resyncVerify: 'all',
  maxMissingTags: '5',
  deadLetterTopic: 'dead-letter',
  acceptFluxEvents: 'true',
  local: 'true',
  logLevel: 'debug',
  otlpEndpoint: 'http://localhost:4318',
  projectId: 'p',
} as const;

describe('an option of the job or the command line that has no effect stops the start', () => {
  const mirroring = Object.fromEntries(
    Object.entries(MIRROR_VALUES).map(([name, value]) => [name, [value, MIRRORING]]),
  ) as unknown as Record<keyof typeof MIRROR_VALUES, readonly [string, typeof MIRRORING]>;
  const all = ['--image', 'EVENT', '--drain', '--republish'] as const;
  check(
    jobOptions,
    {
      '--image': { argv: ['--image', 'ghcr.io/org/app'], env: REGISTRY },
      EVENT: { env: { ...REGISTRY, EVENT: '{}' } },
      '--drain': { argv: ['--drain', 'letters'], env: REGISTRY },
      '--republish': { argv: ['--drain', 'letters', '--republish', 'bulk'] },
    },
    {
      ...mirroring,
      images: 'chooses',
      tags: ['1.0', ['--image']],
      event: 'chooses',
      drain: 'chooses',
      republish: 'chooses',
      filter: ['code=SOURCE_FORBIDDEN', ['--republish']],
      drainIdleMs: ['5s', ['--drain', '--republish']],
      timeoutMs: ['1h', all],
      taskTimeoutSeconds: ['600', ['EVENT', '--drain', '--republish']],
      taskMaxRetries: ['1', ['EVENT']],
      workers: ['2', ['--image', '--drain']],
      dryRun: ['true', all],
      output: ['text', all],
      allowedSources: [MIRROR_VALUES.allowedSources, EXECUTING],
      // Beside --image all tags are verified, and none is of a changing name.
      mutableTags: [MIRROR_VALUES.mutableTags, EXECUTING],
      allowedDestinations: [MIRROR_VALUES.allowedDestinations, EXECUTING],
      resyncVerify: [MIRROR_VALUES.resyncVerify, EXECUTING],
      maxMissingTags: [MIRROR_VALUES.maxMissingTags, EXECUTING],
      deadLetterTopic: [MIRROR_VALUES.deadLetterTopic, EXECUTING],
      acceptFluxEvents: ['true', ['--drain']],
      logLevel: ['debug', all],
      // Variables that other programs read too.
      otlpEndpoint: [MIRROR_VALUES.otlpEndpoint, all],
      projectId: ['p', all],
    },
    readJobConfig,
  );

  it('but for the variables of a Cloud Run job, which are those of all its ways', () => {
    const image = ['--image', 'ghcr.io/org/app'];
    const env = { ...REGISTRY, CLOUD_RUN_JOB: 'mirror', MAX_MISSING_TAGS: '5', WORKERS: '2' };
    readJobConfig(image, { ...env, ALLOWED_SOURCES: 'ghcr.io/*' });
    readJobConfig(['--drain', 'letters', '--republish', 'bulk'], env);
    refuses('--allowed-source', () =>
      readJobConfig([...image, '--allowed-source', 'ghcr.io/*'], env),
    );
  });
});

describe('an option of the service that has no effect stops the start', () => {
  const JOB = 'projects/p/locations/l/jobs/j';
  const situations = {
    alone: { env: REGISTRY },
    'a job': { env: { ...REGISTRY, JOB } },
    'a bulk topic': { env: { ...REGISTRY, BULK_TOPIC: 'bulk' } },
    'no hand-off': { env: { ...REGISTRY, JOB_THRESHOLD_BYTES: '-1' } },
  };
  const mirror = Object.fromEntries(
    Object.entries(MIRROR_VALUES).map(([name, value]) => [name, [value, 'all']]),
  ) as unknown as Record<keyof typeof MIRROR_VALUES, readonly [string, 'all']>;
  check(
    subscriberOptions,
    situations,
    {
      ...mirror,
      batchTags: ['5', ['a bulk topic']],
      jobThresholdBytes: ['1000', ['a job']],
      job: [JOB, ['alone', 'a bulk topic']],
      runApiEndpoint: ['https://run.example', ['a job']],
      deadlineSeconds: ['60', 'all'],
      bulkTopic: ['bulk', 'all'],
      port: ['0', 'all'],
    },
    readSubscriberConfig,
  );
});

describe('an option of the bridge that has no effect stops the start', () => {
  const election = ['--enable-leader-election'] as const;
  const watching = ['alone', 'election', 'neither replay nor resync'] as const;
  check(
    bridgeOptions,
    {
      alone: {},
      election: { argv: election },
      'neither replay nor resync': { argv: ['--replay-on-start=false', '--resync-interval=0'] },
      '--once': { argv: ['--once'] },
    },
    {
      kubeconfig: ['config', 'all'],
      watchAllNamespaces: ['true', 'all'],
      runtimeNamespace: ['flux-system', 'all'],
      watchLabelSelector: ['a=b', 'all'],
      enableLeaderElection: ['true', watching],
      leaseDurationMs: ['60s', ['election']],
      renewDeadlineMs: ['20s', ['election']],
      retryPeriodMs: ['4s', ['election']],
      releaseOnCancel: ['false', ['election']],
      metricsAddr: [':8081', watching],
      healthAddr: [':9441', watching],
      logLevel: ['debug', 'all'],
      logEncoding: ['console', 'all'],
      concurrent: ['2', watching],
      project: ['p', 'all'],
      topic: ['live', watching],
      bulkTopic: ['slow', 'all'],
      clusterName: ['c', 'all'],
      destinationLayout: ['path', 'all'],
      resyncIntervalMs: ['1h', watching],
      followUpMs: ['1m', watching],
      replayOnStart: ['true', watching],
      replayRate: ['5', ['alone', 'election', '--once']],
      dryRun: ['true', 'all'],
      once: 'chooses',
      names: ['a/b', ['--once']],
      tags: ['1.0', []],
      timeoutMs: ['1m', ['--once']],
      verify: ['all', ['--once']],
    },
    readConfig,
  );

  it('but for the variables of a pod, which may be those of the Deployment too', () => {
    const pod = { KUBERNETES_SERVICE_HOST: '10.0.0.1', RESYNC_INTERVAL: '1h', TOPIC: 'live' };
    assert.equal(readConfig(['--once'], pod).once, true);
    refuses('--resync-interval', () => readConfig(['--once', '--resync-interval', '1h'], pod));
  });

  it('takes a full topic with --once where it tells the project', () => {
    readConfig(['--once', '--topic', 'projects/p/topics/events'], {});
    refuses('--topic', () =>
      readConfig(['--once', '--topic', 'projects/p/topics/events', '--project', 'p'], {}),
    );
  });

  it('refuses the election beside --once, and takes it where it is off', () => {
    refuses('--enable-leader-election', () =>
      readConfig(['--once', '--enable-leader-election'], {}),
    );
    readConfig(['--once', '--enable-leader-election=false'], {});
  });
});
