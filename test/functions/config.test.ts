import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readJobConfig, readSubscriberConfig } from '../../functions/config.ts';
import { thrown } from '../faults.ts';

const REGISTRY = 'europe-docker.pkg.dev/acme/mirror';

function refusedField(read: () => unknown): string {
  const { message, field } = thrown(read, 'OPTION_INVALID');
  assert.doesNotMatch(message, /\n/);
  return field ?? '';
}

describe('subscriber configuration', () => {
  it('has the documented defaults', () => {
    const config = readSubscriberConfig([], { DESTINATION_REGISTRY: REGISTRY });
    assert.equal(config.destinationRegistry, REGISTRY);
    assert.equal(config.destinationLayout, 'host-path');
    assert.equal(config.tagWorkers, 4);
    assert.equal(config.batchTags, 100);
    assert.equal(config.maxMissingTags, 1000);
    assert.equal(config.jobThresholdBytes, 10 * 1024 ** 3);
    assert.equal(config.deadlineSeconds, 540);
    assert.equal(config.verifyTags, 'mutable');
    assert.equal(config.onDrift, 'overwrite');
    assert.equal(config.referrers, true);
    assert.equal(config.acceptFluxEvents, false);
    assert.equal(config.insecureDestination, false);
    assert.equal(config.local, false);
    assert.equal(config.deployed, false);
    assert.deepEqual(config.selection, {});
    assert.deepEqual(config.platforms, []);
    assert.deepEqual(config.namedHosts, []);
  });

  it('reads platforms in their normal form', () => {
    const env = { DESTINATION_REGISTRY: REGISTRY, PLATFORMS: 'linux/arm64/v8,linux/amd64' };
    assert.deepEqual(readSubscriberConfig([], env).platforms, ['linux/amd64', 'linux/arm64']);
    const all = { ...env, PLATFORMS: 'all' };
    assert.deepEqual(readSubscriberConfig([], all).platforms, ['all']);
    const argv = [
      '--image',
      'ghcr.io/o/a',
      '--platform',
      'linux/arm',
      '--platform=linux/amd64,linux/386',
    ];
    assert.deepEqual(readJobConfig(argv, env).platforms, [
      'linux/386',
      'linux/amd64',
      'linux/arm/v7',
    ]);
  });

  it('takes the project from a full name of the subscription where nothing else says it', () => {
    const argv = ['--drain=projects/mine/subscriptions/dead', `--destination-registry=${REGISTRY}`];
    assert.equal(readJobConfig(argv, {}).projectId, 'mine');
    assert.equal(readJobConfig(argv, { GOOGLE_CLOUD_PROJECT: 'other' }).projectId, 'other');
    assert.equal(readJobConfig(['--drain=dead', ...argv.slice(1)], {}).projectId, undefined);
  });

  it('reads the selection from its four options', () => {
    const { selection } = readSubscriberConfig([], {
      DESTINATION_REGISTRY: REGISTRY,
      MIRROR_INCLUDE: '^v\\d{1,3}\\.\n^stable$',
      MIRROR_EXCLUDE: '-rc',
      MIRROR_SEMVER: '>=1.0.0',
      MIRROR_LATEST: '10',
    });
    assert.deepEqual(selection, {
      include: ['^v\\d{1,3}\\.', '^stable$'],
      exclude: ['-rc'],
      semver: '>=1.0.0',
      latest: 10,
    });
  });

  const refused: readonly [name: string, env: Record<string, string>, field: RegExp][] = [
    ['an absent destination', { DESTINATION_REGISTRY: '' }, /DESTINATION_REGISTRY/],
    ['a scheme', { DESTINATION_REGISTRY: 'https://x.example' }, /DESTINATION_REGISTRY/],
    ['pkg.dev alone', { DESTINATION_REGISTRY: 'europe-docker.pkg.dev/p' }, /DESTINATION_REGISTRY/],
    ['words for workers', { TAG_WORKERS: 'many' }, /^TAG_WORKERS$/],
    ['a malformed include', { MIRROR_INCLUDE: '(' }, /^MIRROR_INCLUDE$/],
    ['a malformed range', { MIRROR_SEMVER: 'newest' }, /^MIRROR_SEMVER$/],
    ['malformed mutable tags', { MUTABLE_TAGS: '(' }, /^MUTABLE_TAGS$/],
    ['a backup without a digest', { BACKUP_TAG: 'backup-{tag}' }, /^BACKUP_TAG$/],
    [
      'a backup where nothing is overwritten',
      { BACKUP_TAG: 'backup-{tag}-{digest}', ON_DRIFT: 'report' },
      /BACKUP_TAG/,
    ],
    ['a platform without its system', { PLATFORMS: 'amd64' }, /^PLATFORMS$/],
    ['all beside a platform', { PLATFORMS: 'all,linux/amd64' }, /PLATFORMS/],
    ['a malformed source pattern', { ALLOWED_SOURCES: 'https://ghcr.io' }, /^ALLOWED_SOURCES$/],
    ['a malformed grant', { ALLOWED_DESTINATIONS: 'team-a' }, /^ALLOWED_DESTINATIONS$/],
    ['a Google host afar', { GOOGLE_REGISTRY_HOSTS: 'evil.example' }, /^GOOGLE_REGISTRY_HOSTS$/],
    ['threshold 0 without a job', { JOB_THRESHOLD_BYTES: '0' }, /^JOB$/],
    ['a job that is no resource', { JOB: 'mirror' }, /^JOB$/],
    ['a topic that is none', { BULK_TOPIC: 'a b' }, /^BULK_TOPIC$/],
    ['an API that is no URL', { RUN_API_ENDPOINT: 'run' }, /^RUN_API_ENDPOINT$/],
    ['an API of no host', { RUN_API_ENDPOINT: 'https://[' }, /^RUN_API_ENDPOINT$/],
    ['an API without scheme', { RUN_API_ENDPOINT: 'localhost:80' }, /^RUN_API_ENDPOINT$/],
    [
      'a collector without scheme',
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4317' },
      /^OTEL_EXPORTER_OTLP_ENDPOINT$/,
    ],
    ['a list of sources that is empty', { ALLOWED_SOURCES: ' , ' }, /^ALLOWED_SOURCES$/],
    ['a private host with a scheme', { PRIVATE_HOSTS: 'https://r.corp' }, /^PRIVATE_HOSTS$/],
    ['a private host with a path', { PRIVATE_HOSTS: 'r.corp/x' }, /^PRIVATE_HOSTS$/],
    ['http to Google', { INSECURE_DESTINATION: 'true' }, /INSECURE_DESTINATION/],
  ];
  for (const [name, env, field] of refused) {
    it(`refuses ${name}`, () => {
      assert.match(
        refusedField(() => readSubscriberConfig([], { DESTINATION_REGISTRY: REGISTRY, ...env })),
        field,
      );
    });
  }
});

describe('options that do nothing, or do not go together', () => {
  const job = 'projects/p/locations/l/jobs/j';
  const service: readonly [sentence: string, env: Record<string, string>][] = [
    [
      'JOB has no effect: it is never started where JOB_THRESHOLD_BYTES is -1',
      { JOB: job, JOB_THRESHOLD_BYTES: '-1' },
    ],
    ['JOB_THRESHOLD_BYTES has no effect: it needs JOB', { JOB_THRESHOLD_BYTES: '5' }],
    ['RUN_API_ENDPOINT has no effect: it needs JOB', { RUN_API_ENDPOINT: 'http://localhost:80' }],
    ['BATCH_TAGS has no effect: it needs BULK_TOPIC', { BATCH_TAGS: '5' }],
    [
      'DOCKER_CONFIG_FILE has no effect: it is used for ALLOWED_SOURCES, and there are none',
      { DOCKER_CONFIG_FILE: '/dev/null' },
    ],
  ];
  for (const [sentence, env] of service) {
    it(`are refused: ${sentence}`, () => {
      const read = (): unknown =>
        readSubscriberConfig([], { DESTINATION_REGISTRY: REGISTRY, ...env });
      const { message, field } = thrown(read, 'OPTION_INVALID');
      assert.deepEqual([message, field], [sentence, sentence.split(' ', 1)[0]]);
    });
  }

  it('are taken where they do something', () => {
    for (const env of [
      { JOB_THRESHOLD_BYTES: '-1' },
      { JOB: job, JOB_THRESHOLD_BYTES: '0', RUN_API_ENDPOINT: 'http://localhost:80' },
      { BATCH_TAGS: '5', BULK_TOPIC: 'bulk' },
      { DOCKER_CONFIG_FILE: '/dev/null', ALLOWED_SOURCES: 'ghcr.io/*' },
      { DOCKER_CONFIG_FILE: '/dev/null', K_SERVICE: 'mirror' },
      { DOCKER_CONFIG_FILE: '/dev/null', DESTINATION_REGISTRY: 'r.example/m' },
    ])
      readSubscriberConfig([], { DESTINATION_REGISTRY: REGISTRY, ...env });
  });

  const one = ['--image', 'alpine'];
  const commands: readonly [sentence: string, argv: readonly string[], env?: object][] = [
    ['--image is required, or EVENT, or --drain; see --help', []],
    ['--drain cannot be given together with --image', [...one, '--drain=sub']],
    ['EVENT cannot be given together with --image', one, { EVENT: '{}' }],
    ['--tag needs --image', ['--drain=sub', '--tag=3']],
    ['--republish needs --drain', [...one, '--republish=top']],
    ['--filter needs --republish', ['--drain=sub', '--filter=code=NETWORK']],
    ['--output json is for --image and EVENT, not for --drain', ['--drain=sub', '--output=json']],
    [
      '--drain-idle has no effect: it is for --drain and --republish, not for --image',
      [...one, '--drain-idle=5s'],
    ],
    [
      '--tag-workers has no effect: it is for --image, EVENT and --drain, not for --republish',
      ['--drain=sub', '--republish=top', '--tag-workers=2'],
      { DESTINATION_REGISTRY: '' },
    ],
    [
      '--semver has no effect: it selects nothing beside --tag, which names the tags',
      [...one, '--tag=3', '--semver=>1'],
    ],
    [
      '--mutable-tags has no effect: it needs --verify=mutable beside --image',
      [...one, '--verify=all', '--mutable-tags=x'],
    ],
    [
      'DOCKER_CONFIG_FILE has no effect: it is used for ALLOWED_SOURCES, and there are none',
      ['--drain=sub'],
      { DOCKER_CONFIG_FILE: '/dev/null' },
    ],
    [
      'MIRROR_SEMVER has no effect: it selects nothing beside --tag, which names the tags',
      [...one, '--tag=3'],
      { MIRROR_SEMVER: '>1' },
    ],
    [
      "--insecure-source has no effect: it has 'ghcr.io/*', which no --image matches",
      [...one, '--insecure-source=ghcr.io/*'],
    ],
    ["--semver is no semver range: 'newest'", [...one, '--semver=newest']],
    ['--semver is longer than 512 characters', [...one, `--semver=>${'1'.repeat(512)}`]],
    [
      '--exclude [1] is no RE2 pattern: error parsing regexp: missing closing ): `(`',
      [...one, '--exclude=a', '--exclude=('],
    ],
    [
      '--mutable-tags [0] is no RE2 pattern: error parsing regexp: missing closing ): `(`',
      [...one, '--mutable-tags=('],
    ],
  ];
  for (const [sentence, argv, env] of commands) {
    it(`are refused at the command line: ${sentence}`, () => {
      const read = (): unknown => readJobConfig(argv, { DESTINATION_REGISTRY: REGISTRY, ...env });
      const { message, field } = thrown(read, 'OPTION_INVALID');
      assert.deepEqual([message, field], [sentence, sentence.split(' ', 1)[0]]);
    });
  }

  it('are taken at the command line where they do something', () => {
    for (const [argv, env] of [
      [[...one, '--semver=>1']],
      [[...one, '--verify=mutable', '--mutable-tags=x']],
      [[...one, '--insecure-source=index.docker.io/*']],
      [[...one, '--docker-config=/dev/null']],
      [['--drain=sub', '--insecure-source=ghcr.io/*', '--mutable-tags=x']],
      // One set of variables for all ways in which a job is executed.
      [one, { CLOUD_RUN_JOB: 'mirror', TASK_MAX_RETRIES: '3' }],
    ] as const)
      readJobConfig(argv, { DESTINATION_REGISTRY: REGISTRY, ...env });
  });

  it('depend on where it runs', () => {
    for (const [env, deployed] of [
      [{}, false],
      [{ K_SERVICE: 'mirror' }, true],
      [{ CLOUD_RUN_JOB: 'mirror' }, true],
    ] as const) {
      const config = readSubscriberConfig([], { DESTINATION_REGISTRY: 'r.example', ...env });
      assert.deepEqual([config.deployed, config.destinationRegistry], [deployed, 'r.example']);
    }
  });

  it('has a person say what is verified, and events the default', () => {
    const env = { DESTINATION_REGISTRY: REGISTRY };
    for (const [argv, verify, verifyTags] of [
      [one, undefined, 'mutable'],
      [[...one, '--verify=all'], 'all', 'all'],
      [[...one, '--verify=none'], 'none', 'none'],
    ] as const) {
      const config = readJobConfig(argv, env);
      assert.deepEqual([config.verify, config.verifyTags], [verify, verifyTags]);
    }
  });
});

describe('hosts of options', () => {
  it('have one form, however they are written', () => {
    const config = readJobConfig(
      [
        '--image',
        'GHCR.io:443/org/app',
        '--image',
        '[0:0::1]:5000/app',
        '--private-host',
        'R.corp.',
      ],
      {
        DESTINATION_REGISTRY: 'EUROPE-docker.pkg.dev.:443/acme/mirror',
        GOOGLE_REGISTRY_HOSTS: 'LocalHost:5001',
      },
    );
    assert.equal(config.destinationRegistry, REGISTRY);
    assert.deepEqual(config.images, ['ghcr.io/org/app', '[::1]:5000/app']);
    assert.deepEqual(config.namedHosts, ['ghcr.io', '[::1]:5000']);
    assert.deepEqual(config.privateHosts, ['r.corp']);
    assert.deepEqual(config.googleRegistryHosts, ['localhost:5001']);
  });

  it('guard source-overlap: are compared in that form', () => {
    const env = { DESTINATION_REGISTRY: 'R.example/m', ALLOWED_SOURCES: 'r.example.:443/m/*' };
    assert.equal(
      refusedField(() => readSubscriberConfig([], env)),
      'ALLOWED_SOURCES',
    );
  });
});

describe('allowed sources', () => {
  for (const [what, pattern] of [
    ['contains the destination', 'ghcr.io/org/*,*.pkg.dev/acme/*'],
    ['is the destination', `${REGISTRY}/*`],
    ['lies within the destination', `${REGISTRY}/ghcr.io/org/app`],
  ] as const) {
    it(`guard source-overlap: refuses a pattern that ${what}`, () => {
      const env = { DESTINATION_REGISTRY: REGISTRY, ALLOWED_SOURCES: pattern };
      assert.equal(
        refusedField(() => readSubscriberConfig([], env)),
        'ALLOWED_SOURCES',
      );
      assert.equal(
        refusedField(() => readJobConfig(['--drain', 'letters'], env)),
        'ALLOWED_SOURCES',
      );
    });
  }
});

describe('job configuration', () => {
  it('guard image-in-destination: refuses an image of the destination', () => {
    const env = { DESTINATION_REGISTRY: REGISTRY };
    assert.equal(
      refusedField(() => readJobConfig(['--image', `${REGISTRY}/app`], env)),
      '--image',
    );
  });

  it('makes images canonical and their hosts the operator’s', () => {
    const config = readJobConfig(
      ['--image', 'alpine', '--image=localhost:5000/app', '--destination-registry', 'r.example/m'],
      {},
    );
    assert.deepEqual(config.images, ['index.docker.io/library/alpine', 'localhost:5000/app']);
    assert.deepEqual(config.namedHosts, ['index.docker.io', 'localhost:5000']);
    assert.equal(config.workers, 4);
    assert.equal(config.dryRun, false);
  });

  it('needs no destination to republish', () => {
    const config = readJobConfig(['--drain', 'dead', '--republish', 'events'], {});
    assert.deepEqual([config.drain, config.republish], ['dead', 'events']);
  });

  it('takes -o json and repeated tags', () => {
    const config = readJobConfig(
      ['--image', 'alpine', '--tag', '3', '--tag', '3.20', '-o', 'json', '--dry-run'],
      { DESTINATION_REGISTRY: REGISTRY },
    );
    assert.deepEqual(config.tags, ['3', '3.20']);
    assert.equal(config.output, 'json');
    assert.equal(config.dryRun, true);
  });

  const refused: readonly [name: string, argv: readonly string[], field: RegExp][] = [
    ['a tag in the image', ['--image', 'ghcr.io/org/app:1.0'], /^--image$/],
    ['words for workers', ['--workers', 'x'], /^--workers$/],
    ['an unknown flag', ['--imgae', 'x'], /^--imgae$/],
    ['an unknown form', ['-o', 'yaml'], /^--output$/],
    ['a tag that is none', ['--image', 'alpine', '--tag', '1.0,1.1'], /^--tag$/],
    ['an idle time of nothing', ['--drain', 'sub', '--drain-idle', '0'], /^--drain-idle$/],
    ['a malformed subscription', ['--drain', 'a b'], /^--drain$/],
    ['a malformed filter', ['--drain', 'sub', '--republish', 'top', '--filter', 'x'], /^--filter$/],
    [
      'a code that is none',
      ['--drain', 'sub', '--republish', 'top', '--filter', 'code=TYPO'],
      /^--filter$/,
    ],
  ];
  for (const [name, argv, field] of refused) {
    it(`refuses ${name}`, () => {
      const env = { DESTINATION_REGISTRY: REGISTRY };
      assert.match(
        refusedField(() => readJobConfig(argv, env)),
        field,
      );
    });
  }
});
