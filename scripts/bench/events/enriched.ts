/** `bench.enriched`: with a look-up and a derived field. */
import { defineEvent } from '@eventflow/sdk'
import { enrichment, Order, prepareCountries } from '../order-schema.js'

export default defineEvent({
  type: 'bench.enriched',
  schema: Order,
  key: (order) => order.userId,
  enrich: enrichment,
  prepare: prepareCountries,
})
