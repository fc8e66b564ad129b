import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseBackupTag } from '../../../functions/mirror/backup-tag.ts';
import { isTag } from '../../../functions/oci/reference.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';
import { failing } from './fakes.ts';
import { imageWith } from './images.ts';
import { recordOf, Rig } from './rig.ts';

const TEMPLATE = 'backup-{tag}-{digest}';
const [old, fresh] = [imageWith('old', 1), imageWith('fresh', 1)];

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12);
}

const OLD_BACKUP = `backup-latest-${hexOf(old.manifest.digest)}`;
const OPTIONS = {
  options: { ...MIRROR_OPTIONS, verifyTags: 'all', backupTag: parseBackupTag(TEMPLATE) },
} as const;

describe('parseBackupTag', () => {
  it('names a backup by the tag and 12 digits of the old digest', () => {
    assert.equal(
      parseBackupTag(TEMPLATE).nameOf('v1.2', `sha256:0123456789abcdef${'0'.repeat(48)}`),
      'backup-v1.2-0123456789ab',
    );
  });

  it('cuts a tag that would make the name too long', () => {
    for (const template of [TEMPLATE, '{tag}.old.{digest}']) {
      const name = parseBackupTag(template).nameOf('t'.repeat(128), `sha256:${'a'.repeat(64)}`);
      assert.equal(name.length, 128);
      assert.ok(isTag(name));
      assert.ok(parseBackupTag(template).isBackup(name));
    }
  });

  it('knows its own names, and takes nothing else for one', () => {
    const { isBackup } = parseBackupTag('old.{digest}.{tag}');
    assert.ok(isBackup('old.0123456789ab.v1'));
    for (const other of [
      'old.0123456789a.v1',
      'old.0123456789AB.v1',
      'oldx0123456789ab.v1',
      'old.0123456789ab.',
      'v1',
    ]) {
      assert.equal(isBackup(other), false, other);
    }
  });

  for (const [template, says] of [
    ['backup-{digest}', /wants \{tag\} and \{digest\} once each/],
    ['backup-{tag}', /wants \{tag\} and \{digest\} once each/],
    ['{tag}{tag}{digest}', /wants \{tag\} and \{digest\} once each/],
    ['{tag}{digest}', /wants a word beside/],
    ['{tag}-{digest}', /wants a word beside/],
    ['backup/{tag}-{digest}', /gives no tags/],
    ['-old{tag}-{digest}', /gives no tags/],
    [`${'b'.repeat(120)}{tag}{digest}`, /gives no tags/],
  ] as const) {
    it(`refuses '${template.slice(0, 30)}'`, () => {
      assert.throws(() => parseBackupTag(template), says);
    });
  }
});

describe('a tag that is overwritten with BACKUP_TAG', () => {
  it('leaves what it pointed at under its backup, pushed before it, for a GET and a PUT', async () => {
    const rig = new Rig({ latest: fresh }, { latest: old });
    const record = recordOf(await rig.mirror({}, OPTIONS), 'latest');
    assert.deepEqual(
      [record.outcome, record.backupTag, record.previousDigest],
      ['overwritten', OLD_BACKUP, old.manifest.digest],
    );
    assert.equal(rig.destination.digestOf(OLD_BACKUP), old.manifest.digest);
    assert.equal(rig.destination.digestOf('latest'), fresh.manifest.digest);
    assert.deepEqual(
      rig.destination.calls.filter((call) => /(get|put)Manifest/.test(call)),
      [
        `destination getManifest ${old.manifest.digest}`,
        `destination putManifest ${OLD_BACKUP}`,
        'destination putManifest latest',
      ],
    );
  });

  it('is left alone where its backup cannot be pushed', async () => {
    const rig = new Rig({ latest: fresh }, { latest: old });
    for (const [code, operation] of [
      ['SERVER_ERROR', 'back up tag'],
      ['TAG_IMMUTABLE', 'back up tag'],
      // The end of the delivery says nothing of the old image.
      ['ABORTED', undefined],
      ['DEADLINE_EXCEEDED', undefined],
    ] as const) {
      rig.destination.before.splice(
        0,
        Infinity,
        failing(`destination headManifest ${OLD_BACKUP}`, 'FORBIDDEN'),
        failing(`destination putManifest ${OLD_BACKUP}`, code),
      );
      const record = recordOf(await rig.mirror({}, OPTIONS), 'latest');
      assert.deepEqual(
        [record.outcome, record.fault?.code, record.fault?.operation],
        ['failed', code, operation],
      );
      assert.equal(rig.destination.digestOf('latest'), old.manifest.digest);
    }
  });

  it('gets no backup where it is a signature that has grown, asked for by name too', async () => {
    const tag = `${old.manifest.digest.replace(':', '-')}.sig`;
    const options = { ...OPTIONS.options, referrers: true };
    for (const wish of [{ reason: 'requested' }, { tags: [tag] }] as const) {
      const rig = new Rig(
        { '1.0.0': old, [tag]: imageWith('grown', 1) },
        { '1.0.0': old, [tag]: imageWith('signature', 1) },
      );
      const report = await rig.mirror(wish, { options });
      assert.equal(recordOf(report, tag).outcome, 'overwritten');
      assert.deepEqual([...rig.destination.tags.keys()].sort(), ['1.0.0', tag]);
    }
  });

  it('moves where what it pointed at lacks parts, and says that nothing keeps it', async () => {
    const rig = new Rig({ latest: fresh }, { latest: old });
    rig.destination.before.push(
      failing(`destination putManifest ${OLD_BACKUP}`, 'DESTINATION_INCOMPLETE'),
    );
    const record = recordOf(await rig.mirror({}, OPTIONS), 'latest');
    assert.deepEqual(
      [record.outcome, record.backupTag, record.noBackup],
      ['overwritten', undefined, true],
    );
    assert.equal(rig.destination.digestOf('latest'), fresh.manifest.digest);
  });

  it('is left alone where the old image has no digest any more', async () => {
    const rig = new Rig({ latest: fresh }, { latest: old });
    rig.destination.manifests.delete(old.manifest.digest);
    const { fault } = recordOf(await rig.mirror({}, OPTIONS), 'latest');
    assert.deepEqual([fault?.code, fault?.operation], ['TAG_MOVING', 'back up tag']);
  });

  it('needs no new backup where an immutable one keeps the same image', async () => {
    for (const [kept, outcome] of [
      [old, 'overwritten'],
      [fresh, 'failed'],
    ] as const) {
      const rig = new Rig({ latest: fresh }, { latest: old, [OLD_BACKUP]: kept });
      rig.destination.before.push(
        failing(`destination putManifest ${OLD_BACKUP}`, 'TAG_IMMUTABLE'),
      );
      const record = recordOf(await rig.mirror({}, OPTIONS), 'latest');
      assert.equal(record.outcome, outcome);
      assert.equal(record.backupTag, kept === old ? OLD_BACKUP : undefined);
    }
  });

  it('is named by the tag that the destination then refuses to move', async () => {
    const rig = new Rig({ latest: fresh }, { latest: old });
    rig.destination.before.push(failing('destination putManifest latest', 'TAG_IMMUTABLE'));
    const { outcome, reason, backupTag } = recordOf(await rig.mirror({}, OPTIONS), 'latest');
    assert.deepEqual([outcome, reason, backupTag], ['drifted', 'TagImmutable', OLD_BACKUP]);
  });

  it('keeps its backup in a repository in which another tag is immutable', async () => {
    const rig = new Rig({ latest: fresh }, { latest: old });
    rig.presence.setImmutable(rig.destination.name);
    assert.equal(recordOf(await rig.mirror({}, OPTIONS), 'latest').backupTag, OLD_BACKUP);
  });

  it('gets no backup where it was missing or is the same', async () => {
    const rig = new Rig({ new: fresh, same: old }, { same: old });
    await rig.mirror({}, OPTIONS);
    assert.deepEqual([...rig.destination.tags.keys()].sort(), ['new', 'same']);
  });
});

describe('backups at the source', () => {
  it('are never mirrored, never newest, and named in the report', async () => {
    const rig = new Rig({ '1.0.0': fresh, [OLD_BACKUP]: old });
    const report = await rig.mirror({ selection: { latest: 1, sortBy: 'alphabetical' } }, OPTIONS);
    assert.deepEqual([...rig.destination.tags.keys()], ['1.0.0']);
    const { outcome, reason } = recordOf(report, OLD_BACKUP);
    assert.deepEqual([outcome, reason], ['skipped', 'BackupTag']);
  });

  it('are not followed: a signature of what only a backup reaches stays behind', async () => {
    const signature = imageWith('signature', 1);
    const tag = `${old.manifest.digest.replace(':', '-')}.sig`;
    const rig = new Rig({ '1.0.0': fresh, [OLD_BACKUP]: old, [tag]: signature });
    const report = await rig.mirror({}, OPTIONS);
    assert.equal(rig.destination.digestOf(tag), undefined);
    assert.equal(recordOf(report, tag).reason, 'SubjectNotMirrored');
  });
});
