import { isTag } from '../oci/reference.ts';

/** Hex digits of the old digest in a backup's name: enough to tell the digests of one tag apart. */
const DIGEST_LENGTH = 12;
/** Longest tag (OCI Distribution 1.1, "Pulling manifests"). */
const MAX_TAG_LENGTH = 128;
const PLACEHOLDER = /\{(tag|digest)\}/;

/** Names of the tags that keep what a moved tag pointed at (`BACKUP_TAG`). */
export interface BackupTag {
  /** Name for the digest that `tag` pointed at; a tag that would make it too long is cut. */
  readonly nameOf: (tag: string, digest: string) => string;
  /** Whether a tag has the form of a backup: such a tag is never mirrored. */
  readonly isBackup: (tag: string) => boolean;
}

/**
 * Reads a template such as `backup-{tag}-{digest}`: `{digest}` becomes 12 hex digits of the old digest,
 * `{tag}` the tag that moved.
 * @throws Error in the words of an option's refusal
 */
export function parseBackupTag(template: string): BackupTag {
  const parts = template.split(PLACEHOLDER);
  const count = (name: string): number =>
    parts.filter((part, at) => at % 2 === 1 && part === name).length;
  if (count('digest') !== 1 || count('tag') !== 1) {
    throw new Error(
      `wants {tag} and {digest} once each, such as backup-{tag}-{digest}, not '${template}'`,
    );
  }
  const own = template.replace('{tag}', '').replace('{digest}', '');
  if (!/[a-zA-Z0-9]/.test(own)) {
    // A source's own tags are often BRANCH-COMMIT, with as many digits.
    throw new Error(
      `wants a word beside {tag} and {digest}, to tell backups from other tags, not '${template}'`,
    );
  }
  const fixedLength = template.length - '{tag}'.length - '{digest}'.length + DIGEST_LENGTH;
  const tagLength = MAX_TAG_LENGTH - fixedLength;
  const nameOf = (tag: string, hex: string): string =>
    template.replace('{tag}', () => tag.slice(0, Math.max(tagLength, 1))).replace('{digest}', hex);
  if (!isTag(nameOf('a', '0'.repeat(DIGEST_LENGTH)))) {
    throw new Error(
      `gives no tags: letters, digits, '_', '.', '-', at most ${MAX_TAG_LENGTH} characters, not '${template}'`,
    );
  }
  const pattern = new RegExp(
    `^${parts
      .map((part, at) => {
        if (at % 2 === 0) return part.replaceAll('.', String.raw`\.`);
        return part === 'tag' ? '[A-Za-z0-9_][A-Za-z0-9._-]*' : `[0-9a-f]{${DIGEST_LENGTH}}`;
      })
      .join('')}$`,
  );
  return {
    nameOf: (tag, digest) => {
      const hex = digest.slice(digest.indexOf(':') + 1);
      return nameOf(tag, hex.slice(0, DIGEST_LENGTH));
    },
    isBackup: (tag) => pattern.test(tag),
  };
}
