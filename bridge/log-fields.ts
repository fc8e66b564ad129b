import type { LogFields } from '../functions/telemetry/logger.ts';

/** The keys by which Flux's tools find the lines of an object (`flux logs --kind --name`). */
export function objectFields(object: {
  readonly namespace: string;
  readonly name: string;
}): LogFields {
  const { namespace, name } = object;
  return {
    controller: 'imagerepository',
    controllerGroup: 'image.toolkit.fluxcd.io',
    controllerKind: 'ImageRepository',
    ImageRepository: { name, namespace },
    namespace,
    name,
  };
}
