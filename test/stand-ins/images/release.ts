import {
  buildChart,
  buildFallbackIndex,
  buildReferrer,
  buildSignature,
  fallbackTag,
  signatureTag,
} from './artifact.ts';
import {
  buildImage,
  buildIndex,
  EPOCH,
  textLayer,
  type BuiltImage,
  type Platform,
} from './image.ts';
import { putImage, type ImageTarget } from './target.ts';

/** What a repository of the local source holds. */
export interface ReleaseLine {
  readonly repository: string;
  readonly kind: 'image' | 'docker-image' | 'multi-platform' | 'chart' | 'signed' | 'referred';
}

const AMD64: Platform = { os: 'linux', architecture: 'amd64' };
const ARM64: Platform = { os: 'linux', architecture: 'arm64', variant: 'v8' };
/** Bytes before compression: small enough that a first start takes no time, large enough to be seen. */
const BASE_BYTES = 192 * 1024;
const APP_BYTES = 48 * 1024;
const DAY_MS = 86_400_000;

/** The image of a release. The base layer is the same for all releases of a seed; the others are not. */
export function buildRelease(line: ReleaseLine, version: string, seed: string): BuiltImage {
  const { repository, kind } = line;
  if (kind === 'chart') return buildChart(repository.split('/').at(-1) ?? 'chart', version);
  if (kind !== 'multi-platform') return buildPlatform(line, version, seed, AMD64);
  const images = [AMD64, ARM64].map((platform) => ({
    image: buildPlatform(line, version, seed, platform),
    platform,
  }));
  return buildIndex(images);
}

/**
 * Puts a release and what belongs to it: signed ones their signature tag, referred ones a bill of
 * materials with its fallback index.
 *
 * @returns the tags that were written, that of the version first
 */
export async function putRelease(
  target: ImageTarget,
  line: ReleaseLine,
  version: string,
  seed: string,
): Promise<readonly string[]> {
  const { repository, kind } = line;
  const image = buildRelease(line, version, seed);
  await putImage(target, repository, image, version);
  const subject = image.root.digest;
  if (kind === 'signed') {
    const tag = signatureTag(subject);
    await putImage(target, repository, buildSignature(repository, subject, seed), tag);
    return [version, tag];
  }
  if (kind === 'referred') {
    const referrer = buildReferrer(image.root, seed);
    await putImage(target, repository, referrer);
    await putImage(target, repository, buildFallbackIndex([referrer]), fallbackTag(subject));
    return [version, fallbackTag(subject)];
  }
  return [version];
}

function buildPlatform(
  line: ReleaseLine,
  version: string,
  seed: string,
  platform: Platform,
): BuiltImage {
  const name = `${seed}/${platform.architecture}`;
  const patch = Number(version.split('.').at(-1) ?? 0) || 0;
  return buildImage({
    platform,
    format: line.kind === 'docker-image' ? 'docker' : 'oci',
    created: new Date(EPOCH.getTime() + patch * DAY_MS),
    labels: { 'org.opencontainers.image.version': version },
    layers: [
      textLayer(`${name}/base`, 'usr/share/base', BASE_BYTES),
      textLayer(`${name}/${line.repository}/libraries`, 'usr/lib/app', APP_BYTES),
      textLayer(`${name}/${line.repository}/${version}`, 'app', APP_BYTES),
    ],
  });
}
