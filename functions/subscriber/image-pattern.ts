import { canonicalHost, DOCKER_HUB, isDockerHub } from '../contract/host.ts';

/**
 * A pattern of image names such as `ghcr.io/my-org/*`. A `*` stands for any characters: in the host
 * for any but `/`, in the path for any at all, so that a trailing `/*` means everything below. A
 * pattern of a host alone means everything at that host.
 */
export interface ImagePattern {
  /** As written. */
  readonly text: string;
  /** Lower-case host, Docker Hub under its canonical name; a path with at least one character. */
  readonly canonical: string;
}

/**
 * Reads a pattern of image names.
 * @throws Error saying what is wrong, for the option that holds it
 */
export function parseImagePattern(text: string): ImagePattern {
  const [host = '', ...segments] = text.split('/');
  const path = segments.join('/');
  if (text.includes('://')) throw new Error(`wants no scheme in '${text}'`);
  if (!/^[\w.*:[\]-]+$/.test(host) || host === '') {
    throw new Error(`wants HOST/PATH with * for any characters, not '${text}'`);
  }
  if (!/^[a-z0-9._/*-]*$/.test(path) || (segments.length > 0 && path === '')) {
    throw new Error(`has a path outside the OCI grammar: '${text}'`);
  }
  return { text, canonical: `${canonicalPatternHost(host)}/${segments.length === 0 ? '*' : path}` };
}

/** Whether an image name (`registry/repository`) falls under the pattern. */
export function matchesImage(pattern: ImagePattern, image: string): boolean {
  return residues(pattern.canonical, canonicalName(image)).some((rest) => /^\**$/.test(rest));
}

/**
 * Whether a pattern and everything below a registry path (`HOST` or `HOST/PATH`) have any image
 * name in common: mirroring what lies there into that registry would feed on itself.
 */
export function overlaps(pattern: ImagePattern, registry: string): boolean {
  return residues(pattern.canonical, `${canonicalName(registry)}/`).length > 0;
}

/** Whether an image name lies below a registry path. */
export function liesWithin(image: string, registry: string): boolean {
  return canonicalName(image).startsWith(`${canonicalName(registry)}/`);
}

/** A pattern of paths below the destination registry that one namespace may choose. */
export interface DestinationGrant {
  /** A namespace's name, or `*` for every one. */
  readonly namespace: string;
  /** `*` stands for any characters. */
  readonly path: string;
}

/**
 * Reads `NAMESPACE=PATH-PATTERN`, such as `team-a=team-a/*`.
 * @throws Error saying what is wrong
 */
export function parseDestinationGrant(text: string): DestinationGrant {
  const [, namespace, path] = /^([a-z0-9-]+|\*)=([a-z0-9._/*-]+)$/.exec(text) ?? [];
  if (namespace === undefined || path === undefined) {
    throw new Error(`wants NAMESPACE=PATH with * for any characters, not '${text}'`);
  }
  return { namespace, path };
}

/** Whether objects of a namespace may name this path as their destination. */
export function isGranted(grant: DestinationGrant, namespace: string, path: string): boolean {
  if (grant.namespace !== '*' && grant.namespace !== namespace) return false;
  return residues(`/${grant.path}`, `/${path}`).some((rest) => /^\**$/.test(rest));
}

/**
 * What of a pattern may still have to match after it took all of `text`, every way there is; none
 * where it cannot take it. Time is bounded by the product of both lengths.
 */
function residues(pattern: string, text: string): readonly string[] {
  let positions = withStars(pattern, [0]);
  let inHost = true;
  for (const character of text) {
    const next: number[] = [];
    for (const position of positions) {
      const wanted = pattern[position];
      if (wanted === '*' && !(inHost && character === '/')) next.push(position);
      else if (wanted === character) next.push(position + 1);
    }
    if (character === '/') inHost = false;
    positions = withStars(pattern, next);
  }
  return positions.map((position) => pattern.slice(position));
}

/** The positions, and those reached from them by letting a star stand for nothing; each once. */
function withStars(pattern: string, positions: readonly number[]): readonly number[] {
  const reached = new Set<number>();
  for (let position of positions) {
    reached.add(position);
    while (pattern[position] === '*') reached.add(++position);
  }
  return [...reached];
}

function canonicalName(name: string): string {
  const [host = '', ...segments] = name.split('/');
  return [canonicalPatternHost(host), ...segments].join('/');
}

/** Of a pattern's host with a star only the letters and the end are known. */
function canonicalPatternHost(host: string): string {
  const form = host.includes('*')
    ? host.toLowerCase().replace(/\.?(:443)?$/, '')
    : canonicalHost(host);
  return isDockerHub(form) ? DOCKER_HUB : form;
}
