/** Quick scenarios of faults of the connections to Postgres. */
import { until } from '@eventflow/testkit'
import type { QuickScenario, QuickStage } from './stage.js'
import { working } from './steps.js'

/** The answer to an INSERT is lost: the events are stored, and the service does not know. */
export const losesAnswerToInsert: QuickScenario = async (stage) => {
  await working(stage)
  stage.links.postgres.mode = { kind: 'lose answer', text: 'insert-raw-events' }
  await stage.clients.send([{ key: 'answer lost 1' }, { key: 'answer lost 2' }])
}

/** The answer to the COMMIT of failures is lost, and `retries` is read again. */
export const losesAnswerToCommit: QuickScenario = async (stage) => {
  const { links, clients } = stage
  await working(stage)
  links.postgres.mode = { kind: 'lose answer', text: 'COMMIT', after: 'upsert-retries' }
  await clients.send(Array.from({ length: 20 }, (_, n) => ({ key: `commit lost ${n}`, mood: 'failing' })))
  await until('the answer is lost', () => links.postgres.mode.kind === 'pass')
  links.redis.reset()
}

/** Postgres is unreachable: no event is answered as accepted that is not stored. */
export const cannotStore: QuickScenario = async (stage) => {
  const { links, clients } = stage
  await working(stage)
  links.postgres.mode = { kind: 'refuse' }
  links.postgres.reset()
  const sent = clients.send([{ key: 'not stored' }])
  // The INSERT and its one retry have to fail; an immediate answer would not wait for them.
  await until('the service has given up storing it', async () => (await givenUp(stage)) > 0)
  links.postgres.mode = { kind: 'pass' }
  await sent
}

/** The number of events that the service has given up storing. */
async function givenUp({ pipeline }: QuickStage): Promise<number> {
  const { values } = await pipeline.ingestMetrics.eventsReceived.get()
  return values.reduce((sum, { labels, value }) => sum + (labels.outcome === 'unavailable' ? value : 0), 0)
}
