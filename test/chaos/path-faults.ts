import type { TcpProxy } from '../tcp-proxy.ts';

/** The connections of a path, each through a proxy whose network can fail without a word. */
export interface Legs {
  /** Of the first replica to the API server. */
  readonly cluster: TcpProxy;
  /** Of whoever publishes or pulls. */
  readonly broker: TcpProxy;
  readonly push: TcpProxy;
  readonly source: TcpProxy;
  readonly destination: TcpProxy;
}

/** A fault of the way from the cluster to the destination. */
export interface PathFault {
  /** Two replicas; the first, which leads, is stopped after the changes. Default: one replica. */
  readonly replicas?: true;
  /** The events are not pushed: a job drains them. Default: they are pushed to the service. */
  readonly drained?: true;
  /** It strikes once what was changed before is at the destination. Default: at any moment of the changes. */
  readonly afterRest?: true;
  /** The source refuses while things change: what is delivered first is not done, and must come again. */
  readonly failing?: true;
  /** Strikes; the result mends what does not mend itself. */
  readonly strike: (legs: Legs) => (() => void) | undefined;
}

/** Every open connection of a leg is dead from now on and says nothing; new ones work. */
function silent(...names: readonly (keyof Legs)[]): PathFault['strike'] {
  return (legs) => {
    for (const name of names) legs[name].silence();
    return undefined;
  };
}

/** As {@link silent}, and new connections are accepted and get no answer, until it is mended. */
function mute({ broker }: Legs): () => void {
  broker.silence();
  broker.silenceNew(true);
  return () => {
    broker.silenceNew(false);
  };
}

/** Faults of the whole path; each is the only one of its run. */
export const PATH_FAULTS = {
  'silent between bridge and API server': { strike: silent('cluster') },
  'silent between bridge and Pub/Sub': { strike: silent('broker') },
  'silent between Pub/Sub and service': { strike: silent('push'), failing: true },
  'silent between service and source': { strike: silent('source') },
  'silent between service and destination': { strike: silent('destination') },
  'silent between job and Pub/Sub': { strike: silent('broker'), drained: true },
  'a leader that sees nothing': { strike: silent('cluster'), replicas: true },
  'a thawed instance': { strike: silent('source', 'destination', 'broker'), afterRest: true },
  'a mute broker, to the bridge': { strike: mute },
  'a mute broker, to the job': { strike: mute, drained: true },
} as const satisfies Readonly<Record<string, PathFault>>;

/** Name of a fault of the path. */
export type PathFaultName = keyof typeof PATH_FAULTS;

/** All of them. */
export const PATH_FAULT_NAMES = Object.keys(PATH_FAULTS) as readonly PathFaultName[];
