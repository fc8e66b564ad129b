import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type StatusObject,
  type UntypedServiceImplementation,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

import { Refusal } from './refusal.ts';

/** Answers one request, the signal aborted when the caller gives up; throws a Refusal for any status but OK. */
export type Method = (request: never, signal: AbortSignal) => object | Promise<object>;

/** The unary methods of a gRPC service by their names in its proto. */
export type Methods = Readonly<Record<string, Method>>;

/** Lets a request pass; answers with how many milliseconds it is held back. @throws Refusal */
export type Admit = (method: string, request: unknown) => number;

/** The part of google.iam.v1 (iam_policy.proto) that the stand-in answers; field numbers are the wire format. */
const IAM_V1 = {
  IAMPolicy: {
    methods: {
      TestIamPermissions: {
        requestType: 'TestIamPermissionsRequest',
        responseType: 'TestIamPermissionsResponse',
        comment: '',
      },
    },
  },
  TestIamPermissionsRequest: {
    fields: {
      resource: { type: 'string', id: 1 },
      permissions: { rule: 'repeated', type: 'string', id: 2 },
    },
  },
  TestIamPermissionsResponse: {
    fields: { permissions: { rule: 'repeated', type: 'string', id: 1 } },
  },
};

/** Camel case, whole numbers as numbers, absent texts empty, absent messages null. */
const LOADING = { longs: Number, enums: String, defaults: true, oneofs: true } as const;

/** The gRPC services of the stand-in. */
export interface Services {
  readonly publisher: ServiceDefinition;
  readonly subscriber: ServiceDefinition;
  readonly iamPolicy: ServiceDefinition;
}

/** Loads the services from the protos that the client library brings. */
export function loadServices(): Services {
  const require = createRequire(import.meta.url);
  const protos = require('@google-cloud/pubsub/build/protos/protos.json') as Parameters<
    typeof fromJSON
  >[0];
  const pubsub = fromJSON(protos, LOADING);
  const iam = fromJSON(
    { nested: { google: { nested: { iam: { nested: { v1: { nested: IAM_V1 } } } } } } },
    LOADING,
  );
  return {
    publisher: pubsub['google.pubsub.v1.Publisher'] as ServiceDefinition,
    subscriber: pubsub['google.pubsub.v1.Subscriber'] as ServiceDefinition,
    iamPolicy: iam['google.iam.v1.IAMPolicy'] as ServiceDefinition,
  };
}

/** The largest request that is read, so that one over the product's 10 MB is refused by its own rule. */
const MAX_RECEIVED_BYTES = 16 * 1024 * 1024;

/** A server without services. */
export function newServer(): Server {
  return new Server({
    'grpc.max_receive_message_length': MAX_RECEIVED_BYTES,
    'grpc.max_send_message_length': -1,
  });
}

/** Binds a server to a free port of the loopback interface. Answers with the port. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

/** How long calls may take to end by themselves when the server shuts down. */
const GRACE_MS = 500;

/** Ends all calls and connections, after a moment for their last words; resolves when the port is free. */
export function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.forceShutdown();
    }, GRACE_MS);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

/** Unary methods as a gRPC implementation. */
export function implementation(methods: Methods, admit: Admit): UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      unary(async (request, signal) => {
        const delayMs = admit(name, request);
        // A caller who gives up meanwhile is not served.
        if (delayMs > 0) await sleep(delayMs, undefined, { signal });
        return method(request, signal);
      }),
    ]),
  );
}

/** A status that gRPC sends for an error: a refusal's own, INTERNAL for a defect. */
function statusOf(error: unknown): Pick<StatusObject, 'code' | 'details'> {
  return error instanceof Refusal
    ? { code: status[error.status], details: error.message }
    : { code: status.INTERNAL, details: error instanceof Error ? error.message : String(error) };
}

/** What a stream's handler does with it. */
interface StreamHandler<Request> {
  /** Throws a Refusal to end the stream with its status. */
  receive(request: Request): void;
  /** Called once, when the stream has ended on either side. */
  end(): void;
}

/** Our side of a stream. */
export interface StreamPeer<Response> {
  readonly send: (response: Response) => void;
  /** Ends the stream with the status of an error. */
  readonly fail: (error: unknown) => void;
}

/** A bidirectional method. */
export function streaming<Request, Response>(
  open: (peer: StreamPeer<Response>) => StreamHandler<Request>,
): (call: ServerDuplexStream<Request, Response>) => void {
  return (call) => {
    let ended = false;
    const finish = (error?: unknown): void => {
      if (ended) return;
      ended = true;
      handler.end();
      if (error === undefined) call.end();
      else call.emit('error', statusOf(error));
    };
    const handler = open({
      send: (response) => {
        if (!ended) call.write(response);
      },
      fail: finish,
    });
    // The headers go out at once, so that the client knows that the stream is open.
    call.sendMetadata(new Metadata());
    call.on('data', (request: Request) => {
      if (ended) return;
      try {
        handler.receive(request);
      } catch (error) {
        finish(error);
      }
    });
    call.on('end', () => {
      finish();
    });
    call.on('cancelled', () => {
      finish();
    });
  };
}

function unary(
  method: Method,
): (call: ServerUnaryCall<object, object>, callback: sendUnaryData<object>) => void {
  return (call, callback) => {
    const abort = new AbortController();
    call.on('cancelled', () => {
      abort.abort();
    });
    const answer = async (): Promise<object> => method(call.request as never, abort.signal);
    answer().then(
      (response) => {
        callback(null, response);
      },
      (error: unknown) => {
        callback(statusOf(error));
      },
    );
  };
}
