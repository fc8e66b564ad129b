import type { Call } from '../call.ts';
import { RegistryRefusal } from '../refusal.ts';
import type { UploadSession } from '../upload-session.ts';

/** The pool of an image: the Artifact Registry repository `PROJECT/REPOSITORY`. */
export function repositoryOf(image: string): string {
  return image.split('/').slice(0, 2).join('/');
}

/**
 * Refuses an image that cannot be: its name must have project, repository and image, and the
 * repository must have been created before.
 * @throws RegistryRefusal `NAME_INVALID`, `NAME_UNKNOWN`
 */
export function requireImageName(image: string, repositories: Call['repositories']): void {
  if (image.split('/').length < 3) {
    throw new RegistryRefusal(
      400,
      'NAME_INVALID',
      'Missing image name. Pushes should be of the form docker push HOST-NAME/PROJECT-ID/REPOSITORY/IMAGE',
    );
  }
  const repository = repositoryOf(image);
  if (repositories?.includes(repository) === false) {
    throw new RegistryRefusal(
      404,
      'NAME_UNKNOWN',
      `Repository "${repository.split('/')[1] ?? ''}" not found`,
    );
  }
}

const UPLOAD =
  /^\/artifacts-uploads\/namespaces\/([^/]+)\/repositories\/([^/]+)\/uploads\/([^/]+)$/;

/** Where Artifact Registry takes an upload's bytes: not below `/v2/`, and without the image's name. */
export function uploadPath(session: UploadSession): string {
  const [project = '', repository = ''] = session.repository.split('/');
  return `/artifacts-uploads/namespaces/${project}/repositories/${repository}/uploads/${session.id}`;
}

/** The pool and the upload that such a path names. */
export function readUploadPath(
  path: string,
): { readonly pool: string; readonly id: string } | undefined {
  const [, project, repository, id] = UPLOAD.exec(path) ?? [];
  return id === undefined ? undefined : { pool: `${project ?? ''}/${repository ?? ''}`, id };
}
