import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { VERIFY, type Verify } from '../../../functions/contract/event.ts';
import {
  planTag,
  type DestinationFact,
  type Policy,
  type SourceFact,
} from '../../../functions/mirror/plan.ts';
import { verifiedTags } from '../../../functions/mirror/verification.ts';

const OLD = `sha256:${'0'.repeat(64)}`;
const NEW = `sha256:${'1'.repeat(64)}`;

const absent: DestinationFact = { state: 'absent' };
const unknown: DestinationFact = { state: 'unknown' };
const named: DestinationFact = { state: 'present' };
const old: DestinationFact = { state: 'present', digest: OLD };
const same: DestinationFact = { state: 'present', digest: NEW };
const listed: SourceFact = { state: 'listed' };
const told: SourceFact = { state: 'listed', digest: NEW };
const gone: SourceFact = { state: 'gone' };

interface Row {
  readonly name: string;
  readonly source: SourceFact;
  readonly destination: DestinationFact;
  readonly hasDigest?: boolean;
  readonly onDrift?: Policy['onDrift'];
  readonly tag?: string;
  /** `action Reason question` by `VERIFY_TAGS`; `*`: whatever it is. */
  readonly expect: Partial<Record<Verify | '*', string>>;
}

/** `latest` is the mutable tag, `v1.2.3` the other one. */
const ROWS: readonly Row[] = [
  {
    name: 'copies a missing tag',
    source: listed,
    destination: absent,
    expect: { '*': 'copy Missing' },
  },
  {
    name: 'copies a missing tag whose digest is told but not there',
    source: told,
    destination: absent,
    expect: { '*': 'copy Missing' },
  },
  {
    name: 'retags a missing tag whose digest is there',
    source: told,
    destination: absent,
    hasDigest: true,
    expect: { '*': 'retag DigestPresent' },
  },
  {
    name: 'cannot retag what it does not know to be there',
    source: listed,
    destination: absent,
    hasDigest: true,
    expect: { '*': 'copy Missing' },
  },
  {
    name: 'asks where a cut list leaves the tag out',
    source: told,
    destination: unknown,
    expect: { '*': 'ask ListIncomplete destination' },
  },
  {
    name: 'skips an identical tag that both sides tell for free',
    source: told,
    destination: same,
    expect: { '*': 'skip Identical' },
  },
  {
    name: 'overwrites a moved tag that both sides tell for free',
    source: told,
    destination: old,
    expect: { '*': 'overwrite Moved' },
  },
  {
    name: 'reports a moved tag where drift is only reported',
    source: told,
    destination: old,
    onDrift: 'report',
    expect: { '*': 'drifted DriftReported' },
  },
  {
    name: 'skips an identical tag where drift is only reported',
    source: told,
    destination: same,
    onDrift: 'report',
    expect: { '*': 'skip Identical' },
  },
  {
    name: 'asks the source about an existing tag that is verified',
    source: listed,
    destination: old,
    tag: 'v1.2.3',
    expect: {
      all: 'ask DigestUnknown source',
      mutable: 'skip NotVerified',
      none: 'skip NotVerified',
    },
  },
  {
    name: 'asks the source about an existing mutable tag',
    source: listed,
    destination: old,
    expect: {
      all: 'ask DigestUnknown source',
      mutable: 'ask DigestUnknown source',
      none: 'skip NotVerified',
    },
  },
  {
    name: 'asks both sides about an existing mutable tag of a plain destination',
    source: listed,
    destination: named,
    expect: {
      all: 'ask DigestUnknown both',
      mutable: 'ask DigestUnknown both',
      none: 'skip NotVerified',
    },
  },
  {
    name: 'asks the destination where the source tells its digests',
    source: told,
    destination: named,
    expect: {
      all: 'ask DigestUnknown destination',
      mutable: 'ask DigestUnknown destination',
      none: 'skip NotVerified',
    },
  },
  {
    name: 'loses a tag that is gone and was never here',
    source: gone,
    destination: absent,
    expect: { '*': 'lost GoneFromSource' },
  },
  {
    name: 'loses a tag that is gone and stays here',
    source: gone,
    destination: old,
    expect: { '*': 'lost GoneFromSource' },
  },
  {
    name: 'refuses a tag that breaks the grammar',
    source: listed,
    destination: absent,
    tag: '../../etc',
    expect: { '*': 'refuse TagInvalid' },
  },
  {
    name: 'refuses a tag that is too long',
    source: listed,
    destination: absent,
    tag: 'v'.repeat(129),
    expect: { '*': 'refuse TagInvalid' },
  },
];

describe('planTag', () => {
  for (const row of ROWS) {
    for (const verify of VERIFY) {
      const expected = row.expect[verify] ?? row.expect['*'];
      it(`${row.name} (VERIFY_TAGS=${verify}): ${expected ?? ''}`, () => {
        const step = planTag(
          { tag: row.tag ?? 'latest', source: row.source, destination: row.destination },
          {
            verified: verifiedTags(verify, '^latest$'),
            onDrift: row.onDrift ?? 'overwrite',
            hasManifest: () => row.hasDigest ?? false,
          },
        );
        const question = step.action === 'ask' ? ` ${step.question}` : '';
        assert.equal(`${step.action} ${step.reason}${question}`, expected);
      });
    }
  }

  it('tells both digests of a tag that moved', () => {
    const policy: Policy = {
      verified: () => true,
      onDrift: 'overwrite',
      hasManifest: () => false,
    };
    assert.deepEqual(planTag({ tag: 'latest', source: told, destination: old }, policy), {
      tag: 'latest',
      action: 'overwrite',
      reason: 'Moved',
      digest: NEW,
      previousDigest: OLD,
    });
  });
});
