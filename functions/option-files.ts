import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { checkDockerConfig } from './auth/docker-config.ts';
import type { MirrorConfig } from './config.ts';
import { isMirrorError } from './errors.ts';
import { refuseOption } from './options/option.ts';
import type { Logger } from './telemetry/logger.ts';

/**
 * Reads the docker config at the start; it is read again when it is used. On Cloud Run one that holds
 * no credentials yet is told and taken.
 * @throws MirrorError `OPTION_INVALID` where it cannot be read, or holds no credentials
 */
export function requireDockerConfig(
  path: string,
  { deployed }: Pick<MirrorConfig, 'deployed'>,
  logger: Logger,
): void {
  let isFilled: boolean;
  try {
    isFilled = checkDockerConfig(path);
  } catch (error) {
    if (!isMirrorError(error)) throw error;
    return refuseOption('DOCKER_CONFIG_FILE', `(--docker-config): ${path}: ${error.message}`);
  }
  if (isFilled) return;
  // Terraform mounts an empty one, since a revision needs one to start; the operator's follows.
  if (deployed) {
    logger.warning('the docker config holds no credentials yet', { dockerConfigFile: path });
  } else {
    refuseOption('DOCKER_CONFIG_FILE', `(--docker-config): ${path} holds no credentials`);
  }
}

/**
 * The certificates (PEM) of a file. Node ignores what is no certificate, and then trusts nobody new.
 * @throws MirrorError `OPTION_INVALID`
 */
export function readCertificates(path: string): string {
  const refuse = (reason: string): never =>
    refuseOption('SOURCE_CA_FILE', `(--source-ca-file): ${path} ${reason}`);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return refuse(`cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unreadable'})`);
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) refuse('holds no certificate in PEM');
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      refuse(`holds no readable certificate at place ${index + 1}`);
    }
  }
  return text;
}
