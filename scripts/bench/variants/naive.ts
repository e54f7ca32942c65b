/** The obvious simple pipeline: the baseline of all comparisons. */
import { freePort } from '@eventflow/local'
import { USERS } from '../load/order-events.js'
import { untilNothingLeft, type Variant } from '../measure.js'
import type { HttpLoad } from '../programs/http-load.js'
import type { NaivePlan } from '../programs/naive-ingest.js'
import { deliveryTimes } from './delivery-times.js'
import type { LoadKind } from './eventflow.js'
import { programFile } from './program-file.js'

/** One INSERT and one XADD for each event; a worker that takes one event at a time. */
export function naive(about: Pick<Variant, 'name' | 'title'>, load: LoadKind): Variant {
  return {
    ...about,
    group: 'naive',
    promise: 'committed before the 202; lost to the worker by a crash before the XADD, or with Redis',
    async start(stack) {
      const { databaseUrl, redisUrl, db } = stack
      await db.query(`
        CREATE TABLE raw_events (event_id uuid PRIMARY KEY, type text, payload jsonb, accepted_at timestamptz DEFAULT now());
        CREATE TABLE processed_events (event_id uuid PRIMARY KEY, type text, payload jsonb, accepted_at timestamptz,
                                       processed_at timestamptz DEFAULT clock_timestamp())`)
      const port = (await freePort(0))!
      const plan: NaivePlan = { databaseUrl, redisUrl, port }
      await stack.start('ingest', programFile('naive-ingest'), { plan })
      await stack.start('worker', programFile('naive-worker'), { plan })
      const requests: HttpLoad = {
        type: 'bench.plain',
        batch: 1,
        ndjson: false,
        users: USERS,
        ...load,
        urls: [`http://127.0.0.1:${port}`],
      }
      const generator = await stack.start('generator', programFile('http-load'), { plan: requests })
      return {
        drive: (order) => generator.order(order),
        async drained(events) {
          await untilNothingLeft('naive', 50, async () => {
            const { rows } = await db.query('SELECT count(*)::int AS count FROM processed_events')
            return events - rows[0].count
          })
        },
        delivery: (since) => deliveryTimes(db, since),
      }
    },
  }
}
