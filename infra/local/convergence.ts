import { buffer } from 'node:stream/consumers';

import { selectTags } from '../../functions/contract/selection.ts';

import type { ImageProgress } from './progress.ts';
import { MANIFEST_TYPES } from '../../test/stand-ins/registry/media-types.ts';
import { challengedAuthorization } from '../../test/stand-ins/verifier/authorization.ts';
import { partsOf } from '../../test/stand-ins/verifier/manifest-parts.ts';
import { RegistryClient } from '../../test/stand-ins/verifier/registry-client.ts';
import { listTags, verifyRepository } from '../../test/stand-ins/verifier/verifier.ts';

/** Where the images of a run come from and go to. */
export interface Ends {
  /** Origin of the destination. */
  readonly destinationUrl: string;
  /** A value for `Authorization` at the destination; undefined: its challenges are answered anonymously. */
  readonly destinationAuthorization: (() => string) | undefined;
}

/** What was read back from the destination. */
export interface Verification {
  /** One line a repository. */
  readonly lines: readonly string[];
  /** What is wrong, a line each; none: every tag is there, whole and equal. */
  readonly problems: readonly string[];
}

/** Tags that name what they belong to: they follow their subject and are never selected away. */
const SIGNATURE_TAG = /^sha256-([0-9a-f]{64})(\.\w+)?$/;
/**
 * The tags of an image that should be at the destination and are not, a line each; looks at both
 * tag lists only.
 */
export async function differences(progress: ImageProgress, ends: Ends): Promise<readonly string[]> {
  const { image, destination } = progress;
  if (destination === undefined) return [`${image} waits for its first delivery`];
  return withClients(progress, ends, async (source, target) => {
    const there = new Set(await listTags(target.client, target.repository));
    const { tags, subjects } = await wantedOf(progress, source, target);
    const missing = tags.filter((tag) => !there.has(tag));
    for (const subject of subjects)
      missing.push(...(await lackingReferrers(source, target, subject)));
    return missing.length === 0
      ? []
      : [`${image} lacks ${missing.slice(0, 5).join(', ')}${more(missing)}`];
  });
}

/**
 * Reads every tag back from the destination, hashing every manifest and blob, and compares its
 * digest with the one that the source tells.
 */
export async function verifyAll(
  images: readonly ImageProgress[],
  ends: Ends,
): Promise<Verification> {
  const lines: string[] = [];
  const problems: string[] = [];
  for (const progress of images) {
    const found = await verifyImage(progress, ends);
    lines.push(found.line);
    problems.push(...found.problems.map((problem) => `${progress.image}: ${problem}`));
  }
  return { lines, problems };
}

async function verifyImage(
  progress: ImageProgress,
  ends: Ends,
): Promise<{ readonly line: string; readonly problems: readonly string[] }> {
  return withClients(progress, ends, async (source, target) => {
    const { tags, subjects } = await wantedOf(progress, source, target);
    const report = await verifyRepository({ ...target.access, repository: target.repository });
    const digestOf = new Map(report.tags.map(({ tag, digest }) => [tag, digest]));
    const problems = [...report.problems];
    for (const subject of subjects)
      problems.push(...(await lackingReferrers(source, target, subject)));
    for (const tag of tags) {
      const expected = await headDigest(source, tag);
      const actual = digestOf.get(tag);
      if (actual === undefined) problems.push(`${tag} is not at the destination`);
      else if (actual !== expected)
        problems.push(`${tag} is ${actual}, at the source ${expected ?? 'absent'}`);
    }
    const line = `${progress.image}: ${tags.length} tags, ${report.blobs} blobs, ${report.bytes} bytes read back`;
    return { line, problems };
  });
}

interface Side {
  readonly client: RegistryClient;
  readonly repository: string;
  readonly access: ConstructorParameters<typeof RegistryClient>[0];
}

async function withClients<T>(
  progress: ImageProgress,
  ends: Ends,
  act: (source: Side, target: Side) => Promise<T>,
): Promise<T> {
  const source = side(sourceUrl(progress.image), pathOf(progress.image), undefined);
  const target = side(
    ends.destinationUrl,
    pathOf(progress.destination ?? ''),
    ends.destinationAuthorization,
  );
  try {
    return await act(source, target);
  } finally {
    source.client.close();
    target.client.close();
  }
}

function side(url: string, repository: string, authorization: (() => string) | undefined): Side {
  const access = {
    url,
    authorization: authorization ?? challengedAuthorization(),
  };
  return { client: new RegistryClient(access), repository, access };
}

interface Wanted {
  /** Tags that must be there, equal. */
  readonly tags: readonly string[];
  /** Digests at the destination that the source has a referrers' tag for. */
  readonly subjects: readonly string[];
}

/** What the newest event asks for, and the signatures and referrers of what is there. */
async function wantedOf(progress: ImageProgress, source: Side, target: Side): Promise<Wanted> {
  const { exclusionList, selection } = progress.event.data;
  const listed = await listTags(source.client, source.repository);
  const plain = listed.filter((tag) => !SIGNATURE_TAG.test(tag));
  const tags = [...(await selectTags(plain, exclusionList, selection))];
  const subjects = [];
  for (const tag of listed) {
    const [, hex, suffix] = SIGNATURE_TAG.exec(tag) ?? [];
    if (hex === undefined) continue;
    const subject = `sha256:${hex}`;
    if ((await headDigest(target, subject)) === undefined) continue;
    if (suffix === undefined) subjects.push(subject);
    else tags.push(tag);
  }
  return { tags, subjects };
}

/** Referrers that the source names for a subject and the destination does not. */
async function lackingReferrers(
  source: Side,
  target: Side,
  subject: string,
): Promise<readonly string[]> {
  const there = new Set(await referrersOf(target, subject));
  return (await referrersOf(source, subject))
    .filter((digest) => !there.has(digest))
    .map((digest) => `the referrer ${digest} of ${subject}`);
}

/** Union of the referrers API's answer and the index under the tag that stands in for it. */
async function referrersOf(side: Side, subject: string): Promise<readonly string[]> {
  const found = [];
  for (const path of [`referrers/${subject}`, `manifests/${subject.replace(':', '-')}`]) {
    const response = await side.client.send({
      method: 'GET',
      repository: side.repository,
      path,
      headers: { accept: MANIFEST_TYPES.join(', ') },
    });
    const bytes = await buffer(response);
    if (response.statusCode !== 200) continue;
    found.push(...partsOf(bytes).manifests.map(({ digest }) => digest));
  }
  return found;
}

async function headDigest(side: Side, reference: string): Promise<string | undefined> {
  const response = await side.client.send({
    method: 'HEAD',
    repository: side.repository,
    path: `manifests/${reference}`,
    headers: { accept: MANIFEST_TYPES.join(', ') },
  });
  response.resume();
  if (response.statusCode !== 200) return undefined;
  return String(response.headers['docker-content-digest'] ?? '');
}

/** Loopback registries speak http, all others https. */
function sourceUrl(image: string): string {
  const host = image.slice(0, image.indexOf('/'));
  const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
  return `${loopback ? 'http' : 'https'}://${host}`;
}

function pathOf(name: string): string {
  return name.slice(name.indexOf('/') + 1);
}

function more(all: readonly string[]): string {
  return all.length > 5 ? ` and ${all.length - 5} more` : '';
}
