/** OCI Distribution 1.1, "Pulling manifests": grammar of `<name>`, at most 255 characters here. */
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
/** OCI Distribution 1.1, "Pulling manifests": grammar of a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** Whether a text may name a repository. */
export function isRepositoryName(text: string): boolean {
  return text.length <= 255 && REPOSITORY.test(text);
}

/** Whether a text may name a tag. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}
