/** Joins: the steps of core, over the rows that Postgres has. */
import {
  type AcceptedEvent,
  changesOf,
  expireRows,
  type Failure,
  type JoinOutput,
  type JoinRow,
  type JoinRules,
  type JoinSide,
  joinEvent,
} from '@eventflow/core'
import {
  type EventKey,
  type Generation,
  type Passed,
  type RowChanges,
  readDueKeys,
  readWaiting,
  readWaitingEvents,
  type Transaction,
  type WaitingRow,
  writeWaiting,
} from '@eventflow/db'
import type { Applied, Met, Refused } from '../groups/stateful.js'

export interface Join {
  rules: JoinRules
  sidesOf(type: string): readonly JoinSide[]
}

/** A pair, or an event that nothing is joined with. */
export interface Joined extends EventKey {
  left: AcceptedEvent | null
  right: AcceptedEvent | null
  /** The event that made the pair, if it was not the passing of time. */
  arrival?: AcceptedEvent
}

/** The event of a row: it is known if it has just come, and read from its row only if it is needed. */
interface Ref {
  row?: WaitingRow
  event?: AcceptedEvent
}

/** The rows of a key, as they were and as they become. */
interface KeyRows {
  key: EventKey
  before: JoinRow<Ref>[]
  rows: readonly JoinRow<Ref>[]
}

/** The most keys whose rows expire in one transaction. */
const MOST_KEYS = 200

const nameOf = ({ partition, tenantId, key }: EventKey) => `${partition} ${tenantId} ${key}`

/** Joins events with those that wait, and lets them wait. */
export async function joinBatch(
  tx: Transaction,
  met: readonly Met[],
  generation: Generation,
  { rules, sidesOf }: Join,
): Promise<Pick<Applied, 'late' | 'refused'> & { joined: Joined[] }> {
  const keys = await readKeys(
    tx,
    generation,
    met.map(({ delivery: { event } }) => event),
  )
  const late: Met[] = []
  const refused: Refused[] = []
  const outputs: Output[] = []
  for (const { delivery, time, watermark } of met) {
    const { event } = delivery
    const known = keys.get(nameOf(event))!
    const arrival = { sides: sidesOf(event.type), time, seq: event.seq, event: { event } }
    const step = joinEvent(known.rows, arrival, watermark, rules)
    if (step === 'late') late.push({ delivery, time, watermark })
    else if (step === 'full') refused.push({ delivery, failure: fullFailure(event, rules) })
    else {
      known.rows = step.rows
      outputs.push(...step.outputs.map((output) => ({ ...output, key: known.key, arrival: event })))
    }
  }
  const joined = await withEvents(tx, generation, outputs)
  await writeWaiting(tx, generation, changesIn(keys.values()))
  return { late, refused, joined }
}

/** Removes what the watermarks have passed. Resolves with what is known of it now, and with whether there may be more. */
export async function expireJoin(
  tx: Transaction,
  passed: readonly Passed[],
  generation: Generation,
  { rules }: Join,
): Promise<{ joined: Joined[]; more: boolean }> {
  const due = await readDueKeys(tx, generation, passed, MOST_KEYS)
  if (due.length === 0) return { joined: [], more: false }
  const watermarks = new Map(passed.map((place) => [`${place.partition} ${place.tenantId}`, place.watermark]))
  const keys = await readKeys(tx, generation, due)
  const outputs = [...keys.values()].flatMap((known) => {
    const { partition, tenantId } = known.key
    const step = expireRows(known.rows, watermarks.get(`${partition} ${tenantId}`), rules)
    known.rows = step.rows
    return step.outputs.map((output): Output => ({ ...output, key: known.key }))
  })
  const joined = await withEvents(tx, generation, outputs)
  await writeWaiting(tx, generation, changesIn(keys.values()))
  return { joined, more: true }
}

async function readKeys(
  tx: Transaction,
  generation: Generation,
  given: readonly EventKey[],
): Promise<Map<string, KeyRows>> {
  const keys = new Map<string, KeyRows>()
  for (const { partition, tenantId, key } of given) {
    const before: KeyRows['before'] = []
    keys.set(nameOf({ partition, tenantId, key }), { key: { partition, tenantId, key }, before, rows: before })
  }
  const wanted = [...keys.values()].map(({ key }) => key)
  for (const row of await readWaiting(tx, generation, wanted)) {
    keys.get(nameOf(row))!.before.push({ ...row, event: { row } })
  }
  return keys
}

interface Output extends JoinOutput<Ref> {
  key: EventKey
  arrival?: AcceptedEvent
}

/** Reads the events of outputs that are in their rows only. */
async function withEvents(tx: Transaction, generation: Generation, outputs: readonly Output[]): Promise<Joined[]> {
  const missing = outputs.flatMap(({ left, right }) => [left?.row ?? [], right?.row ?? []].flat())
  const events = await readWaitingEvents(tx, generation, missing)
  const eventOf = (ref: Ref | null) => ref && (ref.event ?? events.get(ref.row!.seq)!)
  return outputs.map(({ key, left, right, arrival }) => ({
    ...{ ...key, left: eventOf(left), right: eventOf(right) },
    ...(arrival && { arrival }),
  }))
}

function changesIn(keys: Iterable<KeyRows>): RowChanges {
  const changes = [...keys].map(({ key, before, rows }) => ({ key, ...changesOf(before, rows) }))
  return {
    inserted: changes.flatMap(({ key, inserted }) =>
      inserted.map((row) => ({ ...key, ...row, event: row.event.event! })),
    ),
    updated: changes.flatMap(({ key, updated }) => updated.map((row) => ({ ...key, ...row }))),
    deleted: changes.flatMap(({ key, deleted }) => deleted.map((row) => ({ ...key, ...row }))),
  }
}

function fullFailure({ key }: AcceptedEvent, { maxPerKey }: JoinRules): Failure {
  return {
    component: 'handle',
    failureType: 'permanent',
    errorClass: 'TooManyWaiting',
    message: `${maxPerKey} events of the key ${JSON.stringify(key)} wait on its side of the join already, which is its maxPerKey`,
    problems: [],
  }
}
