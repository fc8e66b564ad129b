import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { readImageRepository } from '../../../bridge/flux/image-repository.ts';
import { ObjectEvents } from '../../../bridge/flux/object-events.ts';
import { connectApiServer, type ApiServer } from '../../../bridge/kubernetes/api-server.ts';
import { createLogger } from '../../../functions/telemetry/logger.ts';
import { imageRepository } from '../objects.ts';
import { startStandIns, type StandIns } from '../stand-ins.ts';

interface EventList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly involvedObject: Readonly<Record<string, string>>;
    readonly type: string;
    readonly reason: string;
    readonly message: string;
    readonly count: number;
    readonly firstTimestamp: string;
    readonly lastTimestamp: string;
    readonly source: { readonly component: string };
    readonly reportingInstance: string;
  }[];
}

const HOUR_MS = 3_600_000;
const app = readImageRepository(imageRepository('app', { revision: '1' }));
const warning = { reason: 'AnnotationInvalid', message: 'annotation x is wrong' };

describe('ObjectEvents', () => {
  let standIns: StandIns;
  let admin: ApiServer;
  let nowMs = Date.parse('2026-08-10T09:00:00Z');
  let lines: string[] = [];
  before(async () => {
    standIns = await startStandIns({ namespaces: ['flux-system', 'team'] });
    admin = connectApiServer(standIns.kubeconfig);
  });
  after(async () => {
    admin.close();
    await standIns.close();
  });

  function objectEvents(
    apiServer = admin,
    mayWrite = () => true,
    { signal } = new AbortController(),
  ): ObjectEvents {
    lines = [];
    return new ObjectEvents({
      apiServer,
      logger: createLogger({ write: (line) => lines.push(line) }),
      mayWrite,
      instance: 'bridge-0',
      now: () => new Date(nowMs),
      signal,
    });
  }

  /** Time goes by, and what is due then is written. */
  async function pass(events: ObjectEvents, ms = 0): Promise<void> {
    nowMs += ms;
    events.tick();
    await events.idle();
  }

  async function written(namespace: string): Promise<EventList['items']> {
    const answer = await admin.send('GET', `/api/v1/namespaces/${namespace}/events`);
    return (answer.body as EventList).items;
  }

  it('writes one Warning about the object, as kubectl describe reads it', async () => {
    const events = objectEvents();
    events.warn(app, warning);
    events.tick();
    await events.idle();
    await pass(events);
    const [event, ...others] = await written('flux-system');
    assert.deepEqual(others, []);
    assert.ok(event !== undefined);
    assert.deepEqual(event.involvedObject, {
      apiVersion: 'image.toolkit.fluxcd.io/v1',
      kind: 'ImageRepository',
      namespace: 'flux-system',
      name: 'app',
      uid: app.uid,
    });
    assert.deepEqual(
      [event.type, event.reason, event.message, event.count],
      ['Warning', warning.reason, warning.message, 1],
    );
    assert.equal(event.source.component, 'imagerepo-mirror');
    assert.equal(event.reportingInstance, 'bridge-0');
  });

  it('counts it up while it lasts, and writes a new one where it has expired', async () => {
    const events = objectEvents();
    const team = { ...app, namespace: 'team', uid: 'team-app' };
    events.warn(team, warning);
    await events.idle();
    await pass(events, 55 * 60_000 - 1);
    assert.equal((await written('team'))[0]?.count, 1);
    await pass(events, 1);
    const [event] = await written('team');
    assert.equal(event?.count, 2);
    assert.notEqual(event.firstTimestamp, event.lastTimestamp);
    await pass(events, HOUR_MS);
    assert.equal((await written('team'))[0]?.count, 3);
    standIns.kubernetes.faults.request({ resource: 'events', verbs: ['patch'], answer: 404 });
    await pass(events, HOUR_MS);
    assert.equal((await written('team')).length, 2);
  });

  it('writes nothing of what is mended, nor while another leads', async () => {
    let leads = false;
    const events = objectEvents(admin, () => leads);
    const before = (await written('flux-system')).length;
    events.warn(app, warning);
    events.warn({ ...app, uid: 'other', name: 'other' }, warning);
    await events.idle();
    assert.equal((await written('flux-system')).length, before);
    events.clear(app.uid);
    leads = true;
    await pass(events);
    const names = (await written('flux-system')).map(
      ({ involvedObject }) => involvedObject['name'],
    );
    assert.deepEqual(names.slice(before), ['other']);
  });

  it('writes nothing more once it no longer leads', async () => {
    let asked = 0;
    const events = objectEvents(admin, () => (asked += 1) < 3);
    const before = (await written('flux-system')).length;
    for (const name of ['one', 'two']) events.warn({ ...app, uid: name, name }, warning);
    await events.idle();
    assert.equal((await written('flux-system')).length, before + 1);
  });

  it('keeps to the longest name and message that Kubernetes takes', async () => {
    const events = objectEvents();
    const long = { ...app, namespace: 'team', uid: 'long', name: 'n'.repeat(253) };
    events.warn(long, { ...warning, message: 'm'.repeat(1025) });
    await events.idle();
    const { metadata, message } = (await written('team')).at(-1) ?? assert.fail('no Event');
    assert.deepEqual([metadata.name.length, message.length], [253, 1024]);
  });

  it('writes nothing of what is mended while its Event fails', async () => {
    const events = objectEvents();
    const before = (await written('flux-system')).length;
    standIns.kubernetes.faults.request({ resource: 'events', answer: 500 });
    events.warn(app, warning);
    events.clear(app.uid);
    await events.idle();
    assert.equal(lines.length, 1);
    await pass(events, 800);
    assert.equal((await written('flux-system')).length, before);
  });

  it('ends what it writes at its signal, without a word', async () => {
    const ending = new AbortController();
    const events = objectEvents(admin, () => true, ending);
    events.warn(app, warning);
    ending.abort();
    await events.idle();
    assert.deepEqual(lines, []);
  });

  it('logs a refusal, and goes on', async () => {
    const poor = connectApiServer(await standIns.userConfig('poor'));
    const events = objectEvents(poor);
    events.warn(app, warning);
    await events.idle();
    assert.equal(lines.filter((line) => line.includes('"status":403')).length, 1);
    poor.close();
  });

  for (const answer of [429, 500, 503] as const) {
    it(`writes and counts up again after a pause what was answered ${answer}`, async () => {
      const events = objectEvents();
      const busy = { ...app, namespace: 'team', uid: `busy-${answer}`, name: `busy-${answer}` };
      const countsAfter = async (ms: number): Promise<readonly number[]> => {
        await pass(events, ms);
        const own = (await written('team')).filter(
          ({ involvedObject }) => involvedObject['uid'] === busy.uid,
        );
        return own.map(({ count }) => count);
      };
      standIns.kubernetes.faults.request({ resource: 'events', verbs: ['create'], answer });
      events.warn(busy, warning);
      assert.deepEqual(await countsAfter(0), []);
      assert.deepEqual(await countsAfter(800), [1]);
      standIns.kubernetes.faults.request({ resource: 'events', verbs: ['patch'], answer });
      assert.deepEqual(await countsAfter(HOUR_MS), [1]);
      assert.deepEqual(await countsAfter(800), [2]);
      assert.equal(lines.filter((line) => line.includes('trying again')).length, 2);
    });
  }

  it('writes the others where it is one object whose Event fails for long', async () => {
    // A webhook of its namespace is away.
    const failing: ApiServer = {
      ...admin,
      send: async (method, path, ...more) =>
        path.includes('/team/')
          ? { status: 500, body: { message: 'failed calling webhook' }, retryAfterMs: 2000 }
          : admin.send(method, path, ...more),
    };
    const events = objectEvents(failing);
    events.warn({ ...app, namespace: 'team', uid: 'stuck', name: 'stuck' }, warning);
    events.warn({ ...app, uid: 'behind', name: 'behind' }, warning);
    const isWritten = async (): Promise<boolean> => {
      await pass(events);
      const all = await written('flux-system');
      return all.some(({ involvedObject }) => involvedObject['uid'] === 'behind');
    };
    assert.equal(await isWritten(), false);
    nowMs += 1999;
    assert.equal(await isWritten(), false);
    nowMs += 1;
    assert.equal(await isWritten(), true);
    assert.match(lines[0] ?? '', /write an Event about team\/stuck/);
  });

  it('tries again after an outage, with growing pauses', async () => {
    const events = objectEvents();
    const before = (await written('flux-system')).length;
    standIns.kubernetes.faults.request({ resource: 'events', answer: 'reset', times: 2 });
    events.warn({ ...app, uid: 'late', name: 'late' }, warning);
    await events.idle();
    for (let look = 0; look < 10; look += 1) await pass(events);
    assert.equal(lines.length, 1);
    await pass(events, 800);
    await pass(events, 799);
    assert.equal(lines.length, 2);
    assert.equal((await written('flux-system')).length, before);
    await pass(events, 801);
    assert.equal(lines.length, 2);
    assert.equal((await written('flux-system')).length, before + 1);
    // What was written ends their growth.
    standIns.kubernetes.faults.request({ resource: 'events', answer: 'reset' });
    events.warn({ ...app, uid: 'later', name: 'later' }, warning);
    await events.idle();
    await pass(events, 800);
    assert.equal((await written('flux-system')).length, before + 2);
  });
});
