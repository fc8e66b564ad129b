// The least that functions-framework can serve: what the subscriber's cold start is compared with.
import { cloudEvent } from '@google-cloud/functions-framework';
import { getTestServer } from '@google-cloud/functions-framework/testing';

cloudEvent('bare', () => undefined);
getTestServer('bare').listen(process.env.PORT);
// An end in order, so that Node writes its compile cache.
process.on('SIGTERM', () => process.exit());
