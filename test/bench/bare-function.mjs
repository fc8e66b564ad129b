// The least that functions-framework can serve: what the subscriber's cold start is compared with.
import { cloudEvent } from '@google-cloud/functions-framework';

cloudEvent('bare', () => undefined);
