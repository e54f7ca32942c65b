/** `watch.looked-up`: needs a source that is never there, so that its circuit opens. */
import { defineEvent, httpLookup, Type } from '@eventflow/sdk'

const SOURCE = 'http://127.0.0.1:65535'

export default defineEvent({
  type: 'watch.looked-up',
  schema: Type.Object({ sku: Type.String() }),
  enrich: [
    httpLookup({
      name: 'prices',
      url: (sku) => `${SOURCE}/${sku}`,
      allowOrigins: [SOURCE],
      fields: { price: (event: { data: { sku: string } }) => event.data.sku },
      retries: 0,
      circuit: { minRequests: 2 },
    }),
  ],
})
