/** Definitions of windows, completed to run. */
import { createHash } from 'node:crypto'
import { closesAt, createAggregation, DEFAULT_RETRY_POLICY, type Micros, readEventTime, timeOf } from '@eventflow/core'
import {
  type EventKey,
  type Generation,
  insertWindowResults,
  type Passed,
  readLeftOpen,
  type Transaction,
} from '@eventflow/db'
import type { WindowDefinition } from '@eventflow/sdk'
import type { CompiledConsumer } from '../groups/consumers.js'
import type { Expired, Met, Result, Stateful } from '../groups/stateful.js'
import { type Closed, titleOf } from './closing.js'
import { addToPanes, closeWindows } from './fixed.js'
import { addToSessions, closeSessions } from './sessions.js'

/** Completes a definition with the defaults. */
export function compileWindow(definition: WindowDefinition): CompiledConsumer {
  const { name, version = 1, on, from, onPoison, onLostHistory, reset } = definition
  return {
    ...{ name, version, events: on, order: 'none', retry: DEFAULT_RETRY_POLICY, stateful: statefulOf(definition) },
    ...(from !== undefined && { from }),
    ...(onPoison && { onPoison }),
    ...(onLostHistory && { onLostHistory }),
    ...(reset && { reset }),
  }
}

/** The result of a window. */
interface WindowResult extends Result {
  /** The watermark from which on the window closes. */
  closesAt: Micros
}

function statefulOf(definition: WindowDefinition): Stateful {
  const { window: windows, aggregate, emit, onResult, late = 'record' } = definition
  const aggregation = createAggregation(aggregate)
  const time = readEventTime(definition.time)

  async function expire(tx: Transaction, passed: readonly Passed[], generation: Generation): Promise<Expired> {
    const { closed, more } =
      windows.kind === 'session'
        ? await closeSessions(tx, passed, generation, { windows, aggregation })
        : await closeWindows(tx, passed, generation, { windows, aggregation })
    await insertWindowResults(tx, generation, closed)
    return { results: closed.map(resultOf), more }
  }

  function resultOf(closed: Closed): WindowResult {
    const { partition, tenantId, key, hops, aggregates } = closed
    const start = timeOf(closed.start)
    const end = timeOf(closed.end)
    const data = { key, start, end, ...aggregates }
    return {
      ...{ partition, tenantId, key, data, title: titleOf(closed) },
      name: `window:${closed.start}:${key}`,
      time: end,
      hops: hops + 1,
      closesAt: windows.kind === 'session' ? closesAt({ first: closed.start, last: closed.end }, windows) : closed.end,
      ...(onResult && { call: (sql) => onResult({ tenantId, ...data }, sql) }),
    }
  }

  return {
    definition: { kind: 'window', hash: hashOf(definition), ...time },
    ...{ late, emit, calls: onResult && 'onResult', expire, leftOpen },
    async apply(tx: Transaction, met: readonly Met[], generation: Generation) {
      const applied =
        windows.kind === 'session'
          ? await addToSessions(tx, met, generation, { windows, aggregation })
          : await addToPanes(tx, met, generation, { windows, aggregation })
      return { ...applied, results: [] }
    },
  }
}

/** Those of windows that the watermark of the former generation had passed, and that it had not closed. */
async function leftOpen(
  tx: Transaction,
  results: readonly WindowResult[],
  generation: Generation,
): Promise<WindowResult[]> {
  const open = new Map((await readLeftOpen(tx, generation, results)).map((left) => [nameOf(left), left]))
  return results.filter((result) => {
    const left = open.get(nameOf(result))
    return left && result.closesAt >= left.from && result.closesAt <= left.watermark
  })
}

const nameOf = ({ partition, tenantId, key }: EventKey) => `${partition} ${tenantId} ${key}`

/**
 * Of everything that decides which state an event becomes part of. Functions are left out: their text changes with each
 * formatting.
 */
function hashOf({ on, window, time, aggregate }: WindowDefinition): string {
  const aggregates = Object.entries(aggregate).map(([name, { kind }]) => [name, kind])
  const { outOfOrderness, idle } = readEventTime(time)
  const parts = [on.toSorted(), window.signature, String(outOfOrderness), String(idle), aggregates.toSorted()]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
