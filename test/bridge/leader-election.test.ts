import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { LeaseRecord, LeaseStore } from '../../bridge/kubernetes/leases.ts';
import {
  createLeaderElection,
  leaseName,
  type LeaderElection,
  type LeaderElectionOptions,
} from '../../bridge/leader-election.ts';
import { MirrorError } from '../../functions/errors.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { eventually } from './stand-ins.ts';

/** A Lease in memory, with optimistic locking and an outage to be switched on. */
class MemoryLease {
  record: LeaseRecord | undefined;
  version = 0;
  away = false;
  /** So many writes come after somebody else's, who changed something else. */
  conflicts = 0;
  writes = 0;

  /** The record, which must be there. */
  held(): LeaseRecord {
    return this.record ?? assert.fail('there is no Lease');
  }

  /** What a replica sees of it; `away` may also be that replica's alone. */
  store(isAway: () => boolean = () => false): LeaseStore {
    const check = (): void => {
      if (isAway() || this.away) throw new MirrorError('NETWORK', 'away');
    };
    return {
      read: () => {
        check();
        return Promise.resolve(this.record);
      },
      write: (record) => {
        check();
        if (this.conflicts > 0) {
          this.conflicts -= 1;
          return Promise.resolve(undefined);
        }
        const version = record.lease?.metadata?.['resourceVersion'];
        const expected = this.record === undefined ? undefined : String(this.version);
        if (version !== expected) return Promise.resolve(undefined);
        this.version += 1;
        this.writes += 1;
        const metadata = { ...record.lease?.metadata, resourceVersion: String(this.version) };
        this.record = { ...record, lease: { ...record.lease, metadata } };
        return Promise.resolve(this.record);
      },
    };
  }
}

/** One replica, with clocks of its own. */
class Replica {
  readonly controller = new AbortController();
  readonly lines: string[] = [];
  started = 0;
  stopped = 0;
  /** Who held the Lease when it stopped last. */
  heldAtStop: string | undefined;
  /** How often it looked at the Lease, or tried to. */
  looks = 0;
  cut = false;
  seenAll = true;
  readonly election: LeaderElection;
  running: Promise<void> = Promise.resolve();

  constructor(lease: MemoryLease, identity: string, options: Partial<LeaderElectionOptions> = {}) {
    this.election = createLeaderElection({
      store: lease.store(() => {
        this.looks += 1;
        return this.cut;
      }),
      identity,
      leaseDurationMs: 3000,
      renewDeadlineMs: 2000,
      retryPeriodMs: 20,
      releaseOnCancel: true,
      logger: createLogger({ write: (line) => this.lines.push(line) }),
      hasSeenAll: () => this.seenAll,
      onStarted: () => {
        this.started += 1;
      },
      onStopped: () => {
        this.stopped += 1;
        this.heldAtStop = lease.record?.holderIdentity;
      },
      now: () => performance.now(),
      wallNow: () => new Date(),
      ...options,
    });
  }

  start(): this {
    this.running = this.election.run(this.controller.signal);
    return this;
  }

  /** Waits until it has looked three more times: what a look decides is decided by then. */
  async looksAgain(): Promise<void> {
    const { looks } = this;
    await eventually('three looks', () => this.looks >= looks + 3);
  }

  /** Ends as a process that was killed does: without giving the Lease up. */
  async kill(): Promise<void> {
    this.controller.abort();
    await this.running;
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.election.release();
  }

  /** What it logged, without repetitions. */
  get said(): readonly string[] {
    const messages = this.lines.map((line) => (JSON.parse(line) as { message: string }).message);
    return [...new Set(messages)];
  }

  get leads(): boolean {
    return this.election.isLeading();
  }
}

describe('leaseName', () => {
  it('is Flux’s: with the selector’s digest where there is a selector', () => {
    assert.equal(leaseName(''), 'imagerepo-mirror-leader-election');
    assert.equal(
      leaseName('sharding.fluxcd.io/key=shard1'),
      'imagerepo-mirror-leader-election-73fdc1be',
    );
  });
});

describe('createLeaderElection', () => {
  it('makes the Lease as client-go does', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    const record = lease.held();
    assert.equal(record.holderIdentity, 'one');
    assert.equal(record.leaseDurationSeconds, 3);
    assert.equal(record.leaseTransitions, 0);
    assert.match(record.acquireTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.equal(one.started, 1);
    await eventually('it is renewed', () => lease.held().renewTime !== record.renewTime);
    assert.equal(lease.held().acquireTime, record.acquireTime);
    await one.stop();
  });

  it('lets one lead and the other stand by, and hands over at release', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    const two = new Replica(lease, 'two').start();
    await two.looksAgain();
    assert.equal(two.leads, false);
    await one.stop();
    assert.equal(one.leads, false);
    assert.equal(one.stopped, 1);
    await eventually('two leads', () => two.leads);
    assert.equal(lease.held().leaseTransitions, 1);
    await two.stop();
    assert.equal(lease.held().holderIdentity, '');
    assert.equal(lease.held().leaseDurationSeconds, 1);
  });

  it('keeps the Lease at shutdown where it is not to be released', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one', { releaseOnCancel: false }).start();
    await eventually('one leads', () => one.leads);
    await one.stop();
    assert.equal(lease.held().holderIdentity, 'one');
  });

  it('takes over from a dead leader after the lease duration, not before', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    const two = new Replica(lease, 'two').start();
    await two.looksAgain();
    await one.kill();
    const { renewTime } = lease.held();
    await eventually('two leads', () => two.leads);
    const waitedMs = Date.parse(lease.held().acquireTime) - Date.parse(renewTime);
    assert.ok(waitedMs >= 3000, String(waitedMs));
    await two.stop();
  });

  it('leads, stands by and takes over by its own clock, to the millisecond', async () => {
    const lease = new MemoryLease();
    let nowMs = 0;
    const now = (): number => nowMs;
    const byClock = { now, leaseDurationMs: 1000, renewDeadlineMs: 400 };
    const one = new Replica(lease, 'one', byClock).start();
    await eventually('one leads', () => one.leads);
    const two = new Replica(lease, 'two', byClock).start();
    const blind = new Replica(lease, 'blind', byClock);
    blind.seenAll = false;
    blind.start();
    for (nowMs of [300, 600, 900, 1200]) {
      await one.looksAgain();
      await two.looksAgain();
    }
    assert.equal(two.started, 0);
    await one.kill();
    // They see its last renewal.
    await two.looksAgain();
    await blind.looksAgain();
    nowMs += 399;
    assert.deepEqual([one.leads, one.election.leadingSinceMs()], [true, 0]);
    nowMs += 1;
    assert.deepEqual([one.leads, one.election.leadingSinceMs()], [false, undefined]);
    nowMs = 2199;
    await two.looksAgain();
    assert.equal(two.leads, false);
    await two.kill();
    nowMs = 2200;
    await blind.looksAgain();
    nowMs = 4199;
    await blind.looksAgain();
    assert.equal(blind.leads, false);
    nowMs = 4200;
    await eventually('the blind one leads', () => blind.leads);
    nowMs += 399;
    await blind.looksAgain();
    assert.equal(blind.stopped, 0);
    nowMs += 1;
    await eventually('it stopped, as it renewed nothing', () => blind.stopped === 1);
    await blind.stop();
    assert.deepEqual(
      blind.lines.map((line) => /left to others|became leader|lost the Lease/.exec(line)?.[0]),
      ['left to others', 'became leader', 'lost the Lease'],
    );
  });

  it('looks once a period, and in time to step down', async () => {
    const lease = new MemoryLease();
    const hourMs = 3_600_000;
    const seldom = { leaseDurationMs: hourMs, retryPeriodMs: hourMs };
    const lasting = { ...seldom, renewDeadlineMs: hourMs };
    const leader = new Replica(lease, 'leader', lasting).start();
    await eventually('it leads', () => leader.leads);
    const standby = new Replica(lease, 'standby', lasting).start();
    const often = new Replica(lease, 'often').start();
    for (let more = 0; more < 3; more += 1) await often.looksAgain();
    // The leader has read the Lease and written it.
    assert.deepEqual([leader.looks, standby.looks], [2, 1]);
    for (const each of [standby, often, leader]) await each.stop();
    const brief = new Replica(lease, 'brief', seldom).start();
    await eventually('it leads', () => brief.leads);
    brief.cut = true;
    await eventually('it stepped down', () => brief.stopped === 1);
    await brief.stop();
  });

  it('ends while it waits for the Lease, without a word', async () => {
    const read = (signal?: AbortSignal): Promise<never> =>
      new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          reject(new MirrorError('ABORTED', 'ended'));
        });
      });
    const store: LeaseStore = { read, write: () => Promise.resolve(undefined) };
    const one = new Replica(new MemoryLease(), 'one', { store }).start();
    await one.stop();
    assert.deepEqual(one.said, []);
  });

  it('does not trust other clocks: an hour’s skew neither hastens nor hinders a takeover', async () => {
    for (const skewMs of [-3_600_000, 3_600_000]) {
      const lease = new MemoryLease();
      const wallNow = (): Date => new Date(Date.now() + skewMs);
      const one = new Replica(lease, 'one', { wallNow }).start();
      await eventually('one leads', () => one.leads);
      const two = new Replica(lease, 'two').start();
      await two.looksAgain();
      assert.equal(two.leads, false, String(skewMs));
      await one.kill();
      await eventually('two leads', () => two.leads);
      await two.stop();
    }
  });

  it('leaves a free Lease to those that have seen all, and says so', async () => {
    const lease = new MemoryLease();
    const blind = new Replica(lease, 'blind');
    blind.seenAll = false;
    blind.start();
    await eventually('it said so', () => blind.lines.some((line) => line.includes('left to')));
    await blind.looksAgain();
    assert.equal(lease.record, undefined);
    const seeing = new Replica(lease, 'seeing').start();
    await eventually('the other leads', () => seeing.leads);
    assert.deepEqual([blind.started, blind.lines.length], [0, 1]);
    await seeing.stop();
    blind.seenAll = true;
    await eventually('it leads when it has seen all', () => blind.leads);
    await blind.stop();
  });

  it('takes the Lease blind where nobody has held it for two durations, and does not renew it', async () => {
    const lease = new MemoryLease();
    const blind = new Replica(lease, 'blind');
    blind.seenAll = false;
    const startedMs = performance.now();
    blind.start();
    await eventually('it leads', () => blind.leads);
    assert.ok(performance.now() - startedMs >= 6000);
    const taken = lease.held();
    // Whoever sees all takes it when its duration is over.
    const seeing = new Replica(lease, 'seeing').start();
    await eventually('the other leads', () => seeing.leads);
    assert.equal(lease.held().leaseTransitions, taken.leaseTransitions + 1);
    // It stopped before another could begin.
    assert.deepEqual([blind.stopped, blind.heldAtStop], [1, 'blind']);
    await seeing.stop();
    await blind.stop();
  });

  it('steps down when it cannot renew, before another may lead', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    const two = new Replica(lease, 'two').start();
    await two.looksAgain();
    one.cut = true;
    let both = 0;
    await eventually('two leads', () => {
      if (one.leads && two.leads) both += 1;
      return two.leads;
    });
    assert.equal(both, 0);
    assert.equal(one.leads, false);
    assert.equal(one.stopped, 1);
    one.cut = false;
    await one.looksAgain();
    assert.equal(one.leads, false);
    await two.stop();
    await eventually('one leads again', () => one.leads);
    assert.equal(one.started, 2);
    await one.stop();
    assert.deepEqual(one.said, [
      'became leader',
      'cannot reach the Lease; trying again',
      'lost the Lease; standing by',
      'released the Lease',
    ]);
  });

  it('goes on after an outage that is shorter than the renew deadline', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    lease.away = true;
    await one.looksAgain();
    lease.away = false;
    await one.looksAgain();
    assert.equal(one.leads, true);
    assert.equal(one.stopped, 0);
    lease.away = true;
    await one.stop();
    assert.equal(one.said.at(-1), 'could not release the Lease');
  });

  it('goes on where somebody else wrote something else into the Lease', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    lease.conflicts = 1;
    await one.looksAgain();
    assert.deepEqual([lease.conflicts, one.leads, one.started, one.stopped], [0, true, 1, 0]);
    lease.conflicts = Infinity;
    await eventually('it renews no longer', () => one.stopped === 1);
    await one.stop();
  });

  it('steps down at once when somebody else holds the Lease', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    lease.version += 1;
    lease.record = {
      ...lease.held(),
      holderIdentity: 'thief',
      lease: { metadata: { resourceVersion: String(lease.version) } },
    };
    await eventually('it stepped down', () => one.stopped === 1);
    assert.equal(one.leads, false);
    await one.stop();
    assert.deepEqual([lease.held().holderIdentity, one.stopped], ['thief', 1]);
  });

  it('gives up no Lease that somebody else has taken unnoticed', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    await one.kill();
    lease.record = { ...lease.held(), holderIdentity: 'thief' };
    await one.election.release();
    assert.equal(lease.held().holderIdentity, 'thief');
  });

  it('makes the Lease again when it was deleted, and keeps what others wrote into it', async () => {
    const lease = new MemoryLease();
    const one = new Replica(lease, 'one').start();
    await eventually('one leads', () => one.leads);
    lease.record = undefined;
    await eventually('it is there again', () => lease.record !== undefined);
    assert.equal(one.leads, true);
    lease.version += 1;
    lease.record = {
      ...lease.held(),
      lease: {
        metadata: { labels: { a: 'b' }, resourceVersion: String(lease.version) },
        spec: { strategy: 'kept' },
      },
    };
    const { writes } = lease;
    await eventually('it is renewed', () => lease.writes > writes + 1);
    assert.equal(lease.held().lease?.spec?.['strategy'], 'kept');
    assert.deepEqual(lease.held().lease?.metadata?.['labels'], { a: 'b' });
    await one.stop();
  });
});
