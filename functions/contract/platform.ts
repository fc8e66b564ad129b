import { MirrorError, printable } from '../errors.ts';
import { arrayAt, stringAt, type Fields } from './fields.ts';

/** A platform that images are built for, in its normal form. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Empty: the architecture's only or usual one. */
  readonly variant: string;
}

/** A platform as an index tells it (OCI Image 1.1, "Image Index", `platform`). */
export interface TheirPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** Stands for every platform, where a list of platforms is asked for. */
export const ALL_PLATFORMS = 'all';

/** Most platforms in one list; the largest indexes seen have 24 children. */
const MAX_PLATFORMS = 50;
/** Longest platform, in characters: the longest in use has 15. */
const MAX_PLATFORM_LENGTH = 64;

/** Names of architectures that mean another, and the variant that they stand for (containerd's platforms package). */
const ARCHITECTURES: ReadonlyMap<string, readonly [architecture: string, variant?: string]> =
  new Map([
    ['i386', ['386']],
    ['x86_64', ['amd64']],
    ['x86-64', ['amd64']],
    ['aarch64', ['arm64']],
    ['armhf', ['arm', 'v7']],
    ['armel', ['arm', 'v6']],
  ]);

/**
 * The normal form of a platform, by containerd's rules: `linux/aarch64` and `linux/arm64/v8` are
 * `linux/arm64`, `linux/arm` and `linux/armhf` are `linux/arm/v7`, `linux/amd64/v1` is `linux/amd64`.
 */
export function normalPlatform(theirs: TheirPlatform): Platform {
  const os = theirs.os.toLowerCase() === 'macos' ? 'darwin' : theirs.os.toLowerCase();
  const named = theirs.architecture.toLowerCase();
  const [architecture, implied] = ARCHITECTURES.get(named) ?? [named];
  const variant = implied ?? (theirs.variant ?? '').toLowerCase();
  return { os, architecture, variant: normalVariant(architecture, variant) };
}

function normalVariant(architecture: string, given: string): string {
  const variant = /^\d/.test(given) ? `v${given}` : given;
  switch (architecture) {
    case '386':
      return '';
    case 'amd64':
      return variant === 'v1' ? '' : variant;
    case 'arm':
      return variant === '' ? 'v7' : variant;
    case 'arm64':
      if (variant === 'v8' || variant === 'v8.0') return '';
      return variant === 'v9.0' ? 'v9' : variant;
    default:
      return variant;
  }
}

/**
 * Reads `OS/ARCHITECTURE[/VARIANT]`, such as `linux/arm64` or `linux/arm/v7`.
 * @throws MirrorError `EVENT_INVALID`
 */
export function parsePlatform(text: string, field?: string): Platform {
  const parts = text.split('/');
  const [os = '', architecture = '', variant] = parts;
  const isWritten = parts.length <= 3 && parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part));
  if (text.length > MAX_PLATFORM_LENGTH || parts.length < 2 || !isWritten) {
    throw refusal(
      `'${printable(text)}' is no platform: wants OS/ARCHITECTURE[/VARIANT], such as linux/arm64`,
      field,
    );
  }
  return normalPlatform({ os, architecture, variant });
}

/** As users write it. */
function platformText({ os, architecture, variant }: Platform): string {
  return `${os}/${architecture}${variant === '' ? '' : `/${variant}`}`;
}

/**
 * A list of platforms in its normal form, each once, in the order of their names; or `all` alone.
 * Empty: nothing is said.
 * @param field where they stand, for the fault
 * @throws MirrorError `EVENT_INVALID`
 */
export function normalPlatforms(texts: readonly string[], field?: string): readonly string[] {
  if (texts.length > MAX_PLATFORMS)
    throw refusal(`has more than ${MAX_PLATFORMS} platforms`, field);
  const distinct = new Set(
    texts.map((text) => (text === ALL_PLATFORMS ? text : platformText(parsePlatform(text, field)))),
  );
  if (distinct.has(ALL_PLATFORMS) && distinct.size > 1) {
    throw refusal(`wants '${ALL_PLATFORMS}' alone, or platforms`, field);
  }
  return [...distinct].sort();
}

/**
 * The platforms of an event: at least one, or `all`.
 * @throws MirrorError `EVENT_INVALID` with the field's path
 */
export function readPlatforms(fields: Fields, name: string, at: string): readonly string[] {
  const field = `${at}.${name}`;
  const texts = arrayAt(fields, name, at).map((_value, index, all) =>
    stringAt(all as unknown as Fields, String(index), field, 1, MAX_PLATFORM_LENGTH),
  );
  if (texts.length === 0) throw refusal('names no platform', field);
  return normalPlatforms(texts, field);
}

function refusal(why: string, field?: string): MirrorError {
  return new MirrorError('EVENT_INVALID', field === undefined ? why : `${field} ${why}`, {
    operation: 'read platforms',
    field,
  });
}
