import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

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

/** Name, source, destination, then `action Reason question`: the same for every `VERIFY_TAGS`, or for all, mutable, none. */
type Row = readonly [
  string,
  SourceFact,
  DestinationFact,
  string | readonly [string, string, string],
  { readonly hasDigest?: boolean; readonly onDrift?: Policy['onDrift']; readonly tag?: string }?,
];

/** `latest` is the mutable tag, `v1.2.3` the other one. */
const ROWS: readonly Row[] = [
  ['copies a missing tag', listed, absent, 'copy Missing'],
  ['copies a missing tag whose digest is told but not there', told, absent, 'copy Missing'],
  [
    'retags a missing tag whose digest is there',
    told,
    absent,
    'retag DigestPresent',
    { hasDigest: true },
  ],
  [
    'cannot retag what it does not know to be there',
    listed,
    absent,
    'copy Missing',
    { hasDigest: true },
  ],
  ['asks where a cut list leaves the tag out', told, unknown, 'ask ListIncomplete destination'],
  ['skips an identical tag that both sides tell for free', told, same, 'skip Identical'],
  ['overwrites a moved tag that both sides tell for free', told, old, 'overwrite Moved'],
  [
    'reports a moved tag where drift is only reported',
    told,
    old,
    'drifted DriftReported',
    { onDrift: 'report' },
  ],
  [
    'skips an identical tag where drift is only reported',
    told,
    same,
    'skip Identical',
    { onDrift: 'report' },
  ],
  [
    'asks the source about an existing tag that is verified',
    listed,
    old,
    ['ask DigestUnknown source', 'skip NotVerified', 'skip NotVerified'],
    { tag: 'v1.2.3' },
  ],
  [
    'asks the source about an existing mutable tag',
    listed,
    old,
    ['ask DigestUnknown source', 'ask DigestUnknown source', 'skip NotVerified'],
  ],
  [
    'asks both sides about an existing mutable tag of a plain destination',
    listed,
    named,
    ['ask DigestUnknown both', 'ask DigestUnknown both', 'skip NotVerified'],
  ],
  [
    'asks the destination where the source tells its digests',
    told,
    named,
    ['ask DigestUnknown destination', 'ask DigestUnknown destination', 'skip NotVerified'],
  ],
  ['loses a tag that is gone and was never here', gone, absent, 'lost GoneFromSource'],
  ['loses a tag that is gone and stays here', gone, old, 'lost GoneFromSource'],
  [
    'refuses a tag that breaks the grammar',
    listed,
    absent,
    'refuse TagInvalid',
    { tag: '../../etc' },
  ],
  ['refuses a tag that is too long', listed, absent, 'refuse TagInvalid', { tag: 'v'.repeat(129) }],
];

describe('planTag', () => {
  for (const [name, source, destination, expect, more = {}] of ROWS) {
    for (const [at, verify] of (['all', 'mutable', 'none'] as const).entries()) {
      const expected = typeof expect === 'string' ? expect : expect[at];
      it(`${name} (VERIFY_TAGS=${verify}): ${expected ?? ''}`, () => {
        const step = planTag(
          { tag: more.tag ?? 'latest', source, destination },
          {
            verified: verifiedTags(verify, '^latest$'),
            onDrift: more.onDrift ?? 'overwrite',
            hasManifest: () => more.hasDigest ?? false,
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
