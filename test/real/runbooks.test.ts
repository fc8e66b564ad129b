import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { startPubsub } from '../stand-ins/pubsub/server.ts';
import { tagsOf } from '../functions/registries.ts';
import { commandsOf, shellBlocks } from './runbook-programs.ts';
import { REPOSITORY, startRunbookRig, type RunbookRig } from './runbook-rig.ts';
import { required, skipUnless } from './servers/found.ts';
import { findPubsubEmulator, startPubsubEmulator } from './servers/pubsub-emulator.ts';

const page = readFileSync(new URL('../../infra/README.md', import.meta.url), 'utf8');
const search = findPubsubEmulator();
// All of it waits for conditions; this is what a machine with no time to spare may take.
const TIMEOUT = { timeout: 300_000 };

/** A Pub/Sub to follow the runbooks on. */
interface Broker {
  readonly host: string;
  readonly close: () => Promise<void>;
}

const brokers: readonly {
  readonly name: string;
  readonly skip: string | false;
  readonly start: () => Promise<Broker>;
}[] = [
  {
    name: "the stand-in's Pub/Sub",
    skip: false,
    start: () => startPubsub({ duplicateShare: 0 }),
  },
  {
    name: "Google's emulator",
    skip: skipUnless(search),
    start: async () => {
      const emulator = await startPubsubEmulator(required(search));
      return { host: emulator.host, close: () => emulator.stop() };
    },
  },
];

/** Commands of a section's blocks, in order; how many there are is a part of what the test follows. */
function commands(section: string, count: number): readonly string[] {
  const found = shellBlocks(page, section).flatMap(commandsOf);
  assert.equal(found.length, count, `the runbook has other commands: ${found.join('\n')}`);
  return found;
}

/** Rigs at a time: each has its own project and servers, and waits for most of its time. */
const CONCURRENCY = 3;

// Both brokers at once: neither is busy.
describe('runbooks as written', { concurrency: true }, () => {
  for (const { name, skip, start } of brokers) {
    describe(`on ${name}`, { skip, concurrency: CONCURRENCY }, () => {
      let broker: Broker;
      before(async () => {
        broker = await start();
      });
      after(() => broker.close());

      async function withRig(work: (rig: RunbookRig) => Promise<void>): Promise<void> {
        const rig = await startRunbookRig(broker.host);
        try {
          await work(rig);
        } finally {
          await rig.close();
        }
      }

      /** Runs a command that must succeed; its output. */
      async function succeed(rig: RunbookRig, command: string | undefined): Promise<string> {
        const { code, stdout, stderr } = await rig.run(command ?? '');
        assert.equal(code, 0, `${command}\n${stdout}${stderr}`);
        return stdout;
      }

      /** The last summary of a drain or a republish. */
      function summary({ jobLines }: RunbookRig): Readonly<Record<string, unknown>> | undefined {
        return jobLines.findLast(({ entry }) => entry === 'drain' || entry === 'republish');
      }

      /** Events about sources that the service refuses while they are not allowed. */
      async function refuse(rig: RunbookRig, ...repositories: readonly string[]): Promise<void> {
        for (const repository of repositories) {
          await rig.registries.push(repository, '1.0');
          await rig.publish(rig.event(repository));
        }
      }

      /** An event that nobody can read. */
      async function unreadable(rig: RunbookRig): Promise<void> {
        const { attributes } = encodeEvent(rig.event('x'));
        await rig.publish({ attributes, data: Buffer.from('{') });
      }

      async function codesOfLetters(rig: RunbookRig, count: number): Promise<readonly unknown[]> {
        const letters = await rig.untilDeadLetters(count);
        return letters.map(({ attributes }) => attributes['error-code']).sort();
      }

      const NOT_ALLOWED = { ALLOWED_SOURCES: 'registry.example/*' };

      it('dead letters: read, then sent again at once, all of them', TIMEOUT, async () => {
        const [read, all] = commands('Dead letters', 5);
        await withRig(async (rig) => {
          await rig.deploy(NOT_ALLOWED);
          await refuse(rig, 'org/a', 'org/b');
          assert.deepEqual(await codesOfLetters(rig, 2), ['SOURCE_FORBIDDEN', 'SOURCE_FORBIDDEN']);
          await rig.deploy();
          assert.match(await succeed(rig, read), /error-code: SOURCE_FORBIDDEN/);
          // What was just read is held; the run waits for it and gets all of it.
          await succeed(rig, all);
          const { republished, ending } = summary(rig) ?? {};
          assert.deepEqual([republished, ending], [2, 'empty']);
          await rig.until(() => rig.isMirrored('org/a') && rig.isMirrored('org/b'));
          assert.deepEqual(await rig.deadLetters(), []);
        });
      });

      it('dead letters: what is refused again is sent once a run', TIMEOUT, async () => {
        const [, all] = commands('Dead letters', 5);
        await withRig(async (rig) => {
          await rig.deploy(NOT_ALLOWED);
          await refuse(rig, 'org/a');
          await unreadable(rig);
          await rig.untilDeadLetters(2);
          // Nothing is mended: both come back while the run still pulls.
          const { code, stderr } = await rig.run(all ?? '');
          assert.equal(summary(rig)?.['republished'], 2, stderr);
          assert.equal(code, summary(rig)?.['later'] === 0 ? 0 : 1);
          await rig.untilDeadLetters(2);
        });
      });

      it('dead letters: those of one code sent again, the others stay', TIMEOUT, async () => {
        const [, , ofOneCode] = commands('Dead letters', 5);
        await withRig(async (rig) => {
          await rig.deploy(NOT_ALLOWED);
          await refuse(rig, 'org/a');
          await unreadable(rig);
          assert.deepEqual(await codesOfLetters(rig, 2), ['EVENT_UNDECODABLE', 'SOURCE_FORBIDDEN']);
          await rig.deploy();
          await succeed(rig, ofOneCode);
          const { republished, handedBack } = summary(rig) ?? {};
          assert.deepEqual([republished, handedBack], [1, 1]);
          await rig.until(() => rig.isMirrored('org/a'));
          assert.deepEqual(await codesOfLetters(rig, 1), ['EVENT_UNDECODABLE']);
        });
      });

      it('dead letters: worked off by the job, which says what it leaves', TIMEOUT, async () => {
        const [, , , drain, purge] = commands('Dead letters', 5);
        await withRig(async (rig) => {
          await rig.deploy(NOT_ALLOWED);
          await refuse(rig, 'org/a');
          await unreadable(rig);
          assert.deepEqual(await codesOfLetters(rig, 2), ['EVENT_UNDECODABLE', 'SOURCE_FORBIDDEN']);
          // Nothing is mended yet: nothing can be done, which is no success.
          const early = await rig.run(drain ?? '');
          assert.equal(early.code, 1, early.stderr);
          assert.deepEqual([summary(rig)?.['executed'], summary(rig)?.['handedBack']], [0, 2]);
          assert.equal(rig.isMirrored('org/a'), false);

          await rig.deploy();
          // What nobody can read is left, so another run has something to do.
          const mended = await rig.run(drain ?? '');
          assert.equal(mended.code, 1, mended.stderr);
          assert.deepEqual([summary(rig)?.['executed'], summary(rig)?.['handedBack']], [1, 1]);
          assert.ok(rig.isMirrored('org/a'));
          assert.equal(rig.eventLines({ decision: 'acknowledge' }).length, 0, 'the job did it');

          await rig.untilDeadLetters(1);
          await succeed(rig, purge);
          await succeed(rig, drain);
          assert.equal(summary(rig)?.['received'], 0);
        });
      });

      it('replay: what was done is delivered again, and back', TIMEOUT, async () => {
        const [age, snapshot, since, seek, undo, remove] = commands('Replay the last hours', 6);
        await withRig(async (rig) => {
          await rig.deploy();
          await rig.registries.push('org/a', '1.0');
          await rig.publish(rig.event('org/a'));
          await rig.until(() => rig.eventLines({ decision: 'acknowledge' }).length === 1);
          assert.ok(rig.isMirrored('org/a'));
          assert.match(await succeed(rig, age), /"result":\[\]/);
          await succeed(rig, snapshot);

          // Deleted by mistake.
          rig.registries.destination.store.deleteTag('m/org/a', '1.0');
          assert.equal(rig.isMirrored('org/a'), false);
          // T as an operator writes it: the command of the page, with another time.
          assert.match(since ?? '', /^T=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
          const anHourAgo = new Date(Date.now() - 3_600_000).toISOString().replace(/\.\d+/, '');
          await succeed(rig, `T=${anHourAgo}\n${seek ?? ''}`);
          await rig.until(() => rig.isMirrored('org/a'));
          await rig.until(() => rig.eventLines({ decision: 'acknowledge' }).length === 2);

          await succeed(rig, undo);
          await succeed(rig, remove);
          // The snapshot had the event as done: only what is published now comes.
          await rig.registries.push('org/b', '1.0');
          await rig.publish(rig.event('org/b'));
          await rig.until(() => rig.isMirrored('org/b'));
          await rig.until(() => rig.eventLines({ decision: 'acknowledge' }).length === 3);
        });
      });

      it('replay: says how old the oldest event is that waits', TIMEOUT, async () => {
        const [age] = commands('Replay the last hours', 6);
        await withRig(async (rig) => {
          // No service takes it.
          await rig.publish(rig.event('org/a'));
          const { data } = JSON.parse(await succeed(rig, age)) as {
            readonly data: { readonly result: readonly { readonly value: readonly unknown[] }[] };
          };
          assert.ok(Number(data.result[0]?.value.at(-1)) >= 0);
        });
      });

      it('backfill: every object by the Job, some by hand', TIMEOUT, async () => {
        const [remove, apply, wait, logs, all, some, dry, again] = commands(
          'Backfill everything',
          8,
        );
        await withRig(async (rig) => {
          await rig.deploy();
          for (const tag of ['1.0.0', '1.2.3', '1.2.4']) await rig.registries.push(REPOSITORY, tag);
          rig.scanned({ revision: '1', tagCount: 3 });
          const { store } = rig.registries.destination;
          const forget = (): void => {
            for (const tag of store.tags(`m/${REPOSITORY}`))
              store.deleteTag(`m/${REPOSITORY}`, tag);
          };
          await succeed(rig, remove);
          await succeed(rig, apply);
          await succeed(rig, wait);
          assert.match(await succeed(rig, logs), /published/);
          await rig.until(() => rig.isMirrored(REPOSITORY));

          forget();
          await succeed(rig, dry);
          await succeed(rig, some);
          await rig.until(() => store.tags(`m/${REPOSITORY}`).length === 2);
          // A dry run has published nothing before, or 1.0.0 were there.
          assert.deepEqual(store.tags(`m/${REPOSITORY}`), ['1.2.3', '1.2.4']);

          forget();
          await succeed(rig, all);
          await rig.until(() => rig.isMirrored(REPOSITORY));

          forget();
          await rig.startBridge();
          await succeed(rig, again);
          await rig.until(() => rig.isMirrored(REPOSITORY));

          // The Job of the first time is still there.
          await succeed(rig, remove);
          assert.match(await succeed(rig, apply), /created/);
          await succeed(rig, wait);
        });
      });

      it('drift: shown, then followed where the source is right', TIMEOUT, async () => {
        const [show] = commands('Drift', 1);
        const [remove] = /`(gcloud artifacts docker tags delete [^`]+)`/.exec(page)?.slice(1) ?? [];
        const ask = commands('Backfill everything', 8).at(-1);
        await withRig(async (rig) => {
          await rig.deploy({ ON_DRIFT: 'report' });
          await rig.registries.push(REPOSITORY, '1.2.3');
          rig.scanned({ revision: '1', tagCount: 1 });
          await rig.startBridge();
          await succeed(rig, ask);
          await rig.until(() => rig.isMirrored(REPOSITORY));
          const before = tagsOf(rig.registries.destination, `m/${REPOSITORY}`)['1.2.3'] ?? '';

          await rig.registries.push(REPOSITORY, '1.2.3', 'moved');
          const moved = tagsOf(rig.registries.source, REPOSITORY)['1.2.3'] ?? '';
          await rig.publish(rig.event(REPOSITORY, { verify: 'all', revision: '2' }));
          await rig.until(() => rig.eventLines({ drifted: 1 }).length === 1);
          const { host } = rig.registries.source;
          const row = (await succeed(rig, show)).split('\n')[1];
          assert.equal(row, `${host}/${REPOSITORY}  1.2.3  ${before}  ${moved}`);
          assert.equal(rig.isMirrored(REPOSITORY), false);

          await succeed(rig, remove);
          await succeed(rig, ask);
          await rig.until(() => rig.isMirrored(REPOSITORY));
        });
      });

      it('held tags: all of them, or fewer', TIMEOUT, async () => {
        const [allOfThem, fewer] = commands('Held tags', 2);
        await withRig(async (rig) => {
          await rig.deploy({ MAX_MISSING_TAGS: '3' });
          const { store } = rig.registries.destination;
          for (let n = 0; n < 8; n++) await rig.registries.push(REPOSITORY, `1.0.${n}`);
          rig.scanned({ revision: '1', tagCount: 8 });
          await rig.startBridge();
          await rig.publish(rig.event(REPOSITORY, { tagCount: 8 }));
          await rig.until(() => rig.eventLines({ held: 5 }).length === 1);
          assert.equal(store.tags(`m/${REPOSITORY}`).length, 3);
          await succeed(rig, allOfThem);
          await rig.until(() => rig.isMirrored(REPOSITORY));

          // Nobody wants these; no version among them is newer than what is there.
          for (let n = 0; n < 8; n++) await rig.registries.push(REPOSITORY, `nightly-${n}`);
          await rig.publish(rig.event(REPOSITORY, { tagCount: 16, revision: '2' }));
          await rig.until(() => rig.eventLines({ held: 8 }).length === 1);
          const told = rig.eventLines().length;
          await succeed(rig, fewer);
          await rig.until(() => rig.eventLines().length > told);
          const last = rig.eventLines().at(-1);
          assert.deepEqual([last?.['held'] ?? 0, last?.['copied'] ?? 0], [0, 0]);
        });
      });

      it('lost sources: listed', TIMEOUT, async () => {
        const [list] = commands('Lost sources', 1);
        await withRig(async (rig) => {
          await rig.deploy();
          await rig.publish(rig.event('org/gone', { tagCount: 5 }));
          await rig.until(() => rig.eventLines({ code: 'SOURCE_LOST' }).length === 1);
          const row = (await succeed(rig, list)).split('\n')[1];
          assert.equal(row, `${rig.registries.source.host}/org/gone  5  flux-system  app`);
        });
      });

      it('the job by hand: mirrors one image, or says what it would', TIMEOUT, async () => {
        const [mirror, dry] = commands('The job does every copy', 2);
        await withRig(async (rig) => {
          await rig.deploy();
          await rig.registries.push(REPOSITORY, '1.2.3');
          const here = (command = ''): string =>
            command.replace('ghcr.io/', `${rig.registries.source.host}/`);
          await succeed(rig, here(dry));
          assert.equal(rig.isMirrored(REPOSITORY), false);
          await succeed(rig, here(mirror));
          assert.ok(rig.isMirrored(REPOSITORY));
        });
      });
    });
  }
});
