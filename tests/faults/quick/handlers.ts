/**
 * Quick scenarios of misbehaving definitions: only their own event becomes a dead letter, with a message that says why.
 */
import { post, until } from '@eventflow/testkit'
import type { QuickScenario } from './stage.js'
import { processed, working } from './steps.js'

/** A sound event is processed much sooner, also beside a misbehaving one, in milliseconds. */
const PATIENCE_MS = 10_000

interface Expected {
  /** What the message of the dead letter must contain. */
  says?: RegExp
  component?: string
  /** Whether it becomes a dead letter. */
  dies?: boolean
}

/** An event has a mood, among others; afterwards its key continues. */
function misbehaves(mood: string, { says = /./, component = 'handle', dies = true }: Expected = {}): QuickScenario {
  const scenario: QuickScenario = async (stage) => {
    const { db, clients, claim } = stage
    const key = 'has a mood'
    await working(stage)
    const [before, moody, behind, beside] = await clients.send([
      ...[{ key }, { key, mood }, { key }],
      { key: 'of another key' },
    ])
    await processed(db, [before!, behind!, beside!], PATIENCE_MS).catch(() => {}) // the checker finds missing events
    const { rows } = await db.query('SELECT component, message FROM failed_events WHERE event_id = $1', [moody])
    claim(dies ? 'it is dead' : 'it is processed', rows.length === (dies ? 1 : 0))
    claim(
      'its dead letter says why',
      rows.every((row) => says.test(row.message) && row.component === component),
    )
  }
  return Object.assign(scenario, { settings: { EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '1' } })
}

export const namesTheNetwork = misbehaves('handler names the network', { says: /ECONNREFUSED/ })
export const conflicts = misbehaves('handler conflicts', { says: /raised by a handler/ })
const returnsBeforeItWrites = misbehaves('handler writes late', { dies: false })
/** A handler returns, and uses its transaction a moment later. */
export const writesLate: QuickScenario = async (stage) => {
  await returnsBeforeItWrites(stage)
  const twice = 'SELECT FROM effects GROUP BY event_id HAVING count(*) > 1'
  // Usually in vain; an early write is found.
  await until('it has written', async () => (await stage.db.query(twice)).rows.length > 0, 1_000).catch(() => {})
}
writesLate.settings = returnsBeforeItWrites.settings!
export const swallowsAnError = misbehaves('handler swallows an error', {
  says: /handle of 'fault.handled'.*division by zero/,
})
export const rollsBack = misbehaves('handler rolls back', { says: /handle of 'fault.handled'.*transaction/ })
export const forgetsAnAwait = misbehaves('handler forgets an await', { says: /await/ })
export const answersTrue = misbehaves('rules answer true', {
  says: /validate of 'fault.handled'/,
  component: 'validate',
})
export const rejectsLater = misbehaves('enricher rejects later', {
  says: /rejected later/,
  component: 'enrich:handled',
})

/** A handler changes its data and fails; its next run must see the data as sent. */
export const changesItsData = misbehaves('handler changes its data')

/**
 * A handler refuses an event; the answer to the COMMIT of its dead letter is lost. When the batch is settled again the
 * handler would accept it, but the dead letter exists; and at that moment an operator replays it.
 */
export const isReplayedWhileSettledAgain: QuickScenario = async (stage) => {
  const { db, links, clients } = stage
  await working(stage)
  links.postgres.mode = { kind: 'lose answer', text: 'COMMIT', after: 'insert-failed' }
  await clients.send([{ key: 'replayed meanwhile', mood: 'handler refuses once' }])
  await until('the answer is lost', () => links.postgres.mode.kind === 'pass')
  links.postgres.mode = { kind: 'slow', ms: 300 }
  await until('the event is passed over', async () => {
    const { rows } = await db.query(`
      SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'
      AND query LIKE '%WITH holding AS%'`)
    return rows.length > 0
  })
  await db.query(`
    WITH letters AS (UPDATE failed_events SET status = 'replaying' RETURNING *)
    INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, history)
    SELECT tenant_id, event_id, seq, partition, 0, now(), history || '[{ "attempt": 0 }]' FROM letters`)
  links.postgres.mode = { kind: 'pass' }
}

/** Events of a key have two types, alternating, in one request. */
export const sendsTwoTypes: QuickScenario = async (stage) => {
  await working(stage)
  const key = 'of two types'
  await stage.clients.send([{ key }, { key, mood: 'handler is sound' }, { key }, { key, mood: 'handler is sound' }])
}

/** A handler refuses an event, and an operator replays it. */
export const isReplayed: QuickScenario = async (stage) => {
  const { db, clients, pipeline } = stage
  await working(stage)
  await clients.send([{ key: 'replayed', mood: 'handler refuses once' }])
  await until('it is dead', async () => (await db.query('SELECT FROM failed_events')).rows.length > 0)
  const asked = await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: {}, reason: 'once more' })
  stage.claim('the replay is accepted', asked.ok)
  await until('it is being replayed', async () => {
    return (await db.query(`SELECT FROM failed_events WHERE status <> 'open'`)).rows.length > 0
  })
}
