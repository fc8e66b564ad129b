import type { UploadSession } from '../upload-session.ts';

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
