import { createRequire } from 'node:module';

import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

/** The part of google.iam.v1 (iam_policy.proto) that the stand-in answers; field numbers are the wire format. */
const IAM_PROTOS = {
  nested: {
    google: {
      nested: {
        iam: {
          nested: {
            v1: {
              nested: {
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
              },
            },
          },
        },
      },
    },
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
  const iam = fromJSON(IAM_PROTOS, LOADING);
  return {
    publisher: pubsub['google.pubsub.v1.Publisher'] as ServiceDefinition,
    subscriber: pubsub['google.pubsub.v1.Subscriber'] as ServiceDefinition,
    iamPolicy: iam['google.iam.v1.IAMPolicy'] as ServiceDefinition,
  };
}
