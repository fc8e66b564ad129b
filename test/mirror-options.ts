import { readSubscriberConfig } from '../functions/config.ts';
import type { MirrorOptions } from '../functions/mirror/options.ts';

/** How a test mirrors where it does not say: as the service does with none of its options set. */
export const MIRROR_OPTIONS: MirrorOptions = {
  tagWorkers: 4,
  dryRun: false,
  onDrift: 'overwrite',
  referrers: true,
  maxMissingTags: 1000,
  verifyTags: 'mutable',
  resyncVerify: 'mutable',
  mutableTags: readSubscriberConfig([], { DESTINATION_REGISTRY: 'r.example/m' }).mutableTags,
  selection: {},
};
