import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { bridgeHelp, readConfig } from '../../bridge/config.ts';
import { bridgeOptions } from '../../bridge/options.ts';
import { thrown } from '../faults.ts';

describe('readConfig', () => {
  it('has the defaults of Flux’s controllers', () => {
    const config = readConfig([], {});
    assert.equal(config.watchAllNamespaces, true);
    assert.equal(config.watchLabelSelector, '');
    assert.equal(config.enableLeaderElection, false);
    assert.equal(config.leaseDurationMs, 35_000);
    assert.equal(config.renewDeadlineMs, 30_000);
    assert.equal(config.retryPeriodMs, 5_000);
    assert.equal(config.releaseOnCancel, true);
    assert.equal(config.metricsAddr, ':8080');
    assert.equal(config.healthAddr, ':9440');
    assert.equal(config.logLevel, 'info');
    assert.equal(config.logEncoding, 'json');
    assert.equal(config.concurrent, 4);
  });

  it('has defaults of its own', () => {
    const config = readConfig([], {});
    assert.equal(config.resyncIntervalMs, 12 * 3_600_000);
    assert.equal(config.followUpMs, 600_000);
    assert.equal(config.replayOnStart, true);
    assert.equal(config.replayRate, 20);
    assert.equal(config.destinationLayout, 'host-path');
    assert.equal(config.verify, 'mutable');
  });

  it('takes every option from the environment too', () => {
    const config = readConfig([], {
      WATCH_LABEL_SELECTOR: 'sharding.fluxcd.io/key=shard1',
      ENABLE_LEADER_ELECTION: 'true',
      RESYNC_INTERVAL: '1h30m',
    });
    assert.equal(config.watchLabelSelector, 'sharding.fluxcd.io/key=shard1');
    assert.equal(config.enableLeaderElection, true);
    assert.equal(config.resyncIntervalMs, 5_400_000);
    const once = readConfig([], { ONCE: 'true', NAMES: 'a/b,c/d', TAGS: '1.0.0,1.1.0' });
    assert.deepEqual(once.names, [
      { namespace: 'a', name: 'b' },
      { namespace: 'c', name: 'd' },
    ]);
    assert.deepEqual(once.tags.flat(), ['1.0.0', '1.1.0']);
  });

  it('lets the backfill of a pod have the variables of the bridge beside it', () => {
    const pod = {
      KUBERNETES_SERVICE_HOST: '10.0.0.1',
      ENABLE_LEADER_ELECTION: 'true',
      LEADER_ELECTION_LEASE_DURATION: '60s',
      RESYNC_INTERVAL: '6h',
      TOPIC: 'imagerepo-mirror-events',
    };
    assert.equal(readConfig(['--once'], pod).once, true);
    assert.equal(readConfig(['--once'], { ...pod, ENABLE_LEADER_ELECTION: '' }).once, true);
    // Of the bridge itself they are the bridge's own.
    assert.throws(() => readConfig([], { ...pod, ENABLE_LEADER_ELECTION: '' }), /has no effect/);
  });

  it('takes --name and --tags several times', () => {
    const { names, tags } = readConfig(
      ['--once', '--name', 'a/b', '--name=c/d', '--tags', '1.0.0,1.1.0', '--tags', '2.0.0'],
      {},
    );
    assert.equal(names.length, 2);
    assert.deepEqual(tags.flat(), ['1.0.0', '1.1.0', '2.0.0']);
  });

  const bad: readonly (readonly [string, readonly string[]])[] = [
    ['--log-json', ['--log-json']],
    ['--concurrent', ['--concurrent', 'four']],
    ['--concurrent', ['--concurrent', '0']],
    ['--resync-interval', ['--resync-interval', '1d']],
    ['--metrics-addr', ['--metrics-addr', '8080']],
    ['--metrics-addr', ['--metrics-addr', ':99999']],
    ['--health-addr', ['--health-addr', 'x y:1']],
    ['--log-level', ['--log-level', 'loud']],
    ['--watch-label-selector', ['--watch-label-selector', 'a in b']],
    ['--topic', ['--topic', 'a']],
    ['--bulk-topic', ['--bulk-topic', 'projects/p/subscriptions/s']],
    ['--cluster-name', ['--cluster-name', 'a/b']],
    ['--destination-layout', ['--destination-layout', 'flat']],
    ['--replay-rate', ['--replay-rate', '-1']],
    ['--timeout', ['--once', '--timeout', '168h1ms']],
    ['--name', ['--once', '--name', 'podinfo']],
    ['--name', ['--once', '--name', 'A/b']],
    ['--name', ['--name', 'a/b']],
    ['--tags', ['--tags', '1.0.0']],
    ['--tags', ['--once', '--tags', '1.0.0']],
    ['--tags', ['--once', '--name', 'a/b', '--tags', 'a b']],
    ['--verify', ['--once', '--verify', 'some']],
    [
      '--leader-election-renew-deadline',
      ['--enable-leader-election', '--leader-election-renew-deadline', '6s'],
    ],
    [
      '--leader-election-lease-duration',
      ['--enable-leader-election', '--leader-election-lease-duration', '30s'],
    ],
    [
      '--leader-election-lease-duration',
      ['--enable-leader-election', '--leader-election-lease-duration', '168h1ms'],
    ],
    [
      '--leader-election-retry-period',
      ['--enable-leader-election', '--leader-election-retry-period', '0'],
    ],
    [
      '--leader-election-lease-duration',
      [
        '--enable-leader-election',
        '--leader-election-lease-duration=900ms',
        '--leader-election-renew-deadline=500ms',
        '--leader-election-retry-period=100ms',
      ],
    ],
  ];
  for (const [option, argv] of bad) {
    it(`refuses ${argv.join(' ')}`, () => {
      assert.equal(thrown(() => readConfig(argv, {}), 'OPTION_INVALID').field, option);
    });
  }
});

describe('bridgeHelp', () => {
  it('names every option, exit code and annotation', () => {
    const help = bridgeHelp();
    for (const option of Object.values(bridgeOptions)) {
      const { flag, env } = option as { readonly flag?: string; readonly env?: string };
      assert.ok(help.includes(flag ?? env ?? '?'), flag ?? env);
    }
    for (const word of ['Exit codes', 'Examples', 'imagerepo-mirror.io/requestedAt']) {
      assert.ok(help.includes(word), word);
    }
  });
});
