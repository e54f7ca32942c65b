/** Definitions of joins, completed to run. */
import { createHash } from 'node:crypto'
import {
  type AcceptedEvent,
  DEFAULT_RETRY_POLICY,
  failureOf,
  type JoinSide,
  later,
  microsOf,
  PermanentError,
  readEventTime,
  readJoinRules,
  timeOf,
} from '@eventflow/core'
import { type EventKey, findUnjoined, type Generation, type Passed, type RowId, type Transaction } from '@eventflow/db'
import type { JoinDefinition } from '@eventflow/sdk'
import type { CompiledConsumer } from '../groups/consumers.js'
import type { Met, Result, Stateful } from '../groups/stateful.js'
import { HandlerError } from '../settle/handler-failure.js'
import { expireJoin, type Join, type Joined, joinBatch } from './join.js'

/** Completes a definition with the defaults. */
export function compileJoin(definition: JoinDefinition): CompiledConsumer {
  const { name, version = 1, left, right, from, onPoison, onLostHistory } = definition
  const events = left === right ? [left] : [left, right]
  return {
    ...{ name, version, events, order: 'none', retry: DEFAULT_RETRY_POLICY, stateful: statefulOf(definition) },
    ...(from !== undefined && { from }),
    ...(onPoison && { onPoison }),
    ...(onLostHistory && { onLostHistory }),
  }
}

function statefulOf(definition: JoinDefinition): Stateful {
  const { left, right, emit, late = 'record' } = definition
  const both: JoinSide[] = ['left', 'right']
  const join: Join = {
    rules: readJoinRules(definition),
    sidesOf: (type) => both.filter((side) => type === (side === 'left' ? left : right)),
  }
  return {
    definition: { kind: 'join', hash: hashOf(definition, join), ...readEventTime(definition.time) },
    ...{ late, emit, calls: undefined },
    async apply(tx: Transaction, met: readonly Met[], generation: Generation) {
      const { joined, ...applied } = await joinBatch(tx, met, generation, join)
      return { ...applied, results: resultsOf(joined, definition) }
    },
    async expire(tx: Transaction, passed: readonly Passed[], generation: Generation) {
      const { joined, more } = await expireJoin(tx, passed, generation, join)
      return { results: resultsOf(joined, definition), more }
    },
    leftOpen,
  }
}

/** A pair, or an event alone. */
interface JoinResult extends Result {
  /** The row of the event for which it was found: of a pair, the right one. */
  row: RowId
}

/** Those of events that wait in the former generation, and that it has joined with none. */
async function leftOpen(
  tx: Transaction,
  results: readonly JoinResult[],
  generation: Generation,
): Promise<JoinResult[]> {
  const rows = results.map(({ row }) => row)
  const unjoined = await findUnjoined(tx, generation, rows)
  return results.filter((_, i) => unjoined.has(i))
}

/** What `select` makes of pairs. Throws a HandlerError of the event that made the pair, or else a PermanentError. */
function resultsOf(joined: readonly Joined[], { select }: JoinDefinition): JoinResult[] {
  return joined.flatMap(({ partition, tenantId, key, left, right, arrival }) => {
    const title = `the pair of ${left?.id ?? 'no left event'} and ${right?.id ?? 'no right event'}`
    // At least one of them is there.
    const [first, last] = [left, right].filter((event) => event !== null).sort((a, b) => a.seq - b.seq)
    const cause = last ?? first!
    try {
      const data = select(left!, right!)
      if (data === null || data === undefined) return []
      return {
        ...{ title, partition, tenantId, key, data, row: rowOf({ partition, tenantId, key }, left, right) },
        name: `join:${left?.id ?? ''}:${right?.id ?? ''}`,
        time: timeOf(later(timeIn(left ?? right!), timeIn(right ?? left!))),
        hops: Math.max(left?.hops ?? 0, right?.hops ?? 0) + 1,
        ...{ correlationId: cause.correlationId, causationId: cause.id },
      }
    } catch (error) {
      const failure = failureOf(error, 'handle')
      const message = `select: ${title}: ${failure.message}`
      if (!arrival) throw new PermanentError(message, { cause: error })
      throw new HandlerError({ failure: { ...failure, failureType: 'permanent', message }, excusable: false }, [
        arrival.seq,
      ])
    }
  })
}

function rowOf(key: EventKey, left: AcceptedEvent | null, right: AcceptedEvent | null): RowId {
  const event = right ?? left!
  return { ...key, side: right ? 'right' : 'left', time: timeIn(event), seq: event.seq }
}

const timeIn = ({ occurredAt }: AcceptedEvent) => microsOf(occurredAt)

/** Of everything that decides what is joined. The function is left out: its text changes with each formatting. */
function hashOf({ left, right, time }: JoinDefinition, { rules }: Join): string {
  const { outOfOrderness, idle } = readEventTime(time)
  const { kind, match, before, after } = rules
  const parts = [left, right, kind, match, ...[before, after, outOfOrderness, idle].map(String)]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
