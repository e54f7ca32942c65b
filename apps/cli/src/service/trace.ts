/** `eventflow events trace`: all events of one correlation id, with their causes and the times of all steps. */
import type { Operator, WholeEvent } from '@eventflow/client'
import { oneLine, span, table } from '../table.js'
import { findEvents, type ListOptions } from './events.js'

/** An event in the tree of causes. */
interface TracedEvent {
  event: WholeEvent
  /** The number of events between it and the first cause. */
  depth: number
}

/** A step of one of the events; `sinceMs` is how long the event had waited for it. */
interface Step {
  at: string
  event: number
  what: string
  detail?: string
  sinceMs: number
}

/** Prints the trace of at most `limit` events. Resolves with the exit code: 1 if there is no such event. */
export async function trace(
  operator: Operator,
  correlationId: string,
  { limit, json, print, note }: ListOptions,
): Promise<number> {
  // Reads one more than is shown: a full page does not say whether there is another one.
  const { items } = await findEvents(operator, { correlation_id: correlationId }, limit + 1)
  const found = await Promise.all(items.slice(0, limit).map(({ id }) => operator.event(id)))
  const events = inOrderOfCause(found.filter((event) => event !== undefined))
  if (events.length === 0) {
    note(`No event with the correlation id ${oneLine(correlationId)}.`)
    return 1
  }
  const steps = stepsOf(events)
  if (json) print(JSON.stringify({ correlation_id: correlationId, events: events.map(({ event }) => event), steps }))
  else print(shown(correlationId, events, steps))
  if (items.length > limit) note(`There are more than ${limit} events; only the newest are shown.`)
  return 0
}

/** Orders each event after its cause; events without a known cause are ordered by acceptance. */
function inOrderOfCause(events: readonly WholeEvent[]): TracedEvent[] {
  const byTime = events.toSorted((a, b) => acceptedAt(a) - acceptedAt(b))
  const named = new Map(byTime.flatMap((event) => [event.external_id ?? event.id, event.id].map((id) => [id, event])))
  const caused = new Map<WholeEvent | undefined, WholeEvent[]>()
  for (const event of byTime) {
    const cause = named.get(event.causationid ?? '')
    caused.set(cause, [...(caused.get(cause) ?? []), event])
  }
  const left = new Set(byTime)
  const ordered: TracedEvent[] = []
  const take = (event: WholeEvent, depth: number) => {
    if (!left.delete(event)) return
    ordered.push({ event, depth })
    for (const effect of caused.get(event) ?? []) take(effect, depth + 1)
  }
  for (const event of caused.get(undefined) ?? []) take(event, 0)
  for (const event of byTime) take(event, 0) // those that cause each other in a circle
  return ordered
}

/** All steps of the events, ordered by time. */
function stepsOf(events: readonly TracedEvent[]): Step[] {
  return events
    .flatMap(({ event: { timeline } }, index) =>
      timeline.map((step, n): Step => {
        const since = Date.parse(step.at) - Date.parse((timeline[n - 1] ?? step).at)
        return { ...step, event: index + 1, sinceMs: Math.max(0, since) }
      }),
    )
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
}

const acceptedAt = ({ timeline }: WholeEvent) => Date.parse(timeline[0]!.at)

function shown(correlationId: string, events: readonly TracedEvent[], steps: readonly Step[]): string {
  const statuses = [...new Set(events.map(({ event }) => event.status))]
  const counts = statuses.map((one) => `${events.filter(({ event }) => event.status === one).length} ${one}`).join(', ')
  const took = (Date.parse(steps.at(-1)!.at) - Date.parse(steps[0]!.at)) / 1_000
  const heading = `correlation id ${oneLine(correlationId)}: ${counts}, within ${span(took)}`
  const tree = events.map(({ event, depth }, index) => [
    `${index + 1}`,
    `${depth === 0 ? '' : `${'   '.repeat(depth - 1)}└─ `}${event.type}`,
    event.partitionkey,
    event.external_id ?? event.id,
    `${event.status}${event.failure ? `: ${event.failure.error_class}: ${event.failure.message}` : ''}`,
  ])
  const times = steps.map(({ at, event, what, detail, sinceMs }) => [
    at,
    `${event}`,
    events[event - 1]!.event.type,
    sinceMs === 0 ? '' : sinceMs < 1_000 ? `${sinceMs} ms` : span(sinceMs / 1_000),
    `${what}${detail ? `: ${detail}` : ''}`,
  ])
  return [
    heading,
    table(['', 'event', 'key', 'id', 'status'], tree),
    table(['at', '', 'event', 'after', 'what'], times, ['after']),
  ].join('\n\n')
}
