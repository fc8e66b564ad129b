import { MirrorError, printable } from '../errors.ts';
import { isDigest } from './digest.ts';

/** OCI Distribution 1.1, "Pulling manifests": the grammar of a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** Whether `text` is a tag of the grammar; a tag in a registry's list is another party's text. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** `text` itself, where it is a tag. @throws MirrorError `TAG_INVALID` */
export function requireTag(text: string): string {
  // guard: tag-grammar
  if (!isTag(text))
    throw new MirrorError('TAG_INVALID', `'${printable(text)}' is no tag`, {
      operation: 'parse tag',
    });
  return text;
}

/**
 * `text` itself, where it is a tag or a digest: only such a text is put into a URL.
 * @throws MirrorError `TAG_INVALID`, or `DIGEST_INVALID` where it has the colon of a digest
 */
export function requireReference(text: string): string {
  if (isDigest(text)) return text;
  // guard: reference-grammar
  if (text.includes(':'))
    throw new MirrorError('DIGEST_INVALID', `'${printable(text)}' is no digest`, {
      operation: 'parse reference',
    });
  return requireTag(text);
}
