import { findDistribution, findDockerRegistry } from './servers/docker-registry.ts';
import { isFound, type Search } from './servers/found.ts';
import { findKubeApiserver } from './servers/kube-apiserver.ts';
import { findPubsubEmulator } from './servers/pubsub-emulator.ts';
import {
  findCrane,
  findGcrane,
  findKubectl,
  findRegctl,
  findRegsync,
  findSkopeo,
} from './servers/tools.ts';

/**
 * A line for each real server and tool that the tests can use: the found ones with version and path,
 * then the missing ones with how they are had.
 */
export function reportRealServers(): readonly string[] {
  return describeSearches(
    [findDockerRegistry(), findDistribution(), findKubeApiserver(), findPubsubEmulator()],
    [findSkopeo(), findCrane(), findGcrane(), findRegctl(), findRegsync(), findKubectl()],
  );
}

/** The lines of {@link reportRealServers} for given searches. */
export function describeSearches(
  servers: readonly Search[],
  tools: readonly Search[],
): readonly string[] {
  return [
    ...describeFound('real server', servers),
    ...describeFound('real tool', tools),
    ...[...servers, ...tools].flatMap((it) =>
      isFound(it) ? [] : [`not found: ${it.name} (${it.remedy})`],
    ),
  ];
}

function describeFound(kind: string, searches: readonly Search[]): readonly string[] {
  return searches.flatMap((it) =>
    isFound(it) ? [`${kind}: ${it.name} ${it.version} (${it.path})`] : [],
  );
}

// `node test/real/report.ts` prints it.
if (import.meta.main) process.stdout.write(`${reportRealServers().join('\n')}\n`);
