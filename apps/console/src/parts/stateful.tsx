/** What the pages of windows and of joins share. */
import type { JoinSummary, LateEvent, WindowSummary } from '@eventflow/client'
import { count, duration, shortId } from '../format.js'
import { moment } from '../live.js'
import { href } from '../route.js'
import { Nothing, Problem, Time } from './basics.js'
import { Listed } from './listed.js'
import { Table } from './table.js'

type Stateful = WindowSummary | JoinSummary

/** How often windows and joins are read, in milliseconds. */
export const LOOK_MS = 2_000

/** What the service counts only up to so many. */
export const counted = (rows: number) => `${count(rows)}${rows >= 10_000 ? ' or more' : ''}`

/** The state in one word. */
export function stateOf({ paused, rebuilding }: Stateful): string {
  if (paused) return 'paused'
  return rebuilding ? 'rebuilding' : 'running'
}

/** The event time that all partitions have reached. */
export function Reached({ watermark }: Pick<Stateful, 'watermark'>) {
  return watermark ? <Time at={watermark.min} /> : <>–</>
}

/** The facts that windows and joins have in common. */
export function StatefulFacts({ of }: { of: Stateful }) {
  const { name, version, types, out_of_orderness_seconds, idle_seconds, late_events, watermark } = of
  return (
    <>
      <dt>Late events</dt>
      <dd>{late_events > 0 ? <span class="warn">{counted(late_events)}</span> : '0'}</dd>
      <dt>Watermark</dt>
      <dd>
        {watermark ? (
          <>
            <Time at={watermark.min} />
            {watermark.max !== watermark.min && (
              <>
                {' '}
                to <Time at={watermark.max} />
              </>
            )}
          </>
        ) : (
          'no event yet'
        )}
      </dd>
      <dt>Waits for</dt>
      <dd>
        {out_of_orderness_seconds > 0 &&
          `events that are up to ${duration(out_of_orderness_seconds)} out of order, and `}
        {idle_seconds === null ? 'later events' : `later events, or ${duration(idle_seconds)} without events`}
      </dd>
      <dt>Event types</dt>
      <dd>
        {types.map((type, i) => (
          <span key={type}>
            {i > 0 && ', '}
            <a href={href(['schemas', type])}>{type}</a>
          </span>
        ))}
      </dd>
      <dt>Version</dt>
      <dd>{version}</dd>
      {/* Its group is the operator's, who alone sees the pipeline. */}
      {moment.value && (
        <>
          <dt>Group</dt>
          <dd>
            <a href={href(['groups', name])}>Lag, pause and dead letters</a>
          </dd>
        </>
      )}
    </>
  )
}

/** `path` is that of the window or the join. */
export function LateEvents({ path }: { path: string }) {
  return (
    <Listed<LateEvent> path={`${path}/late`} label="Late events" none="No event was late." more="Load older">
      {(items) => (
        <Table label="Late events" columns={['Occurred', 'Watermark it met', 'Type', 'Key', 'Id']}>
          {items.map(({ id, type, partitionkey, time, watermark }) => (
            <tr key={id}>
              <td>
                <Time at={time} />
              </td>
              <td>
                <Time at={watermark} />
              </td>
              <td class="cut" title={type}>
                {type}
              </td>
              <td class="cut" title={partitionkey}>
                {partitionkey}
              </td>
              <td>
                <a href={href(['events', id])}>
                  <code>…{shortId(id)}</code>
                </a>
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Listed>
  )
}

/** Before the window or the join is read, or if it cannot be. */
export function NotRead({ error, all }: { error: Error | undefined; all: 'windows' | 'joins' }) {
  return (
    <>
      <Problem error={error} />
      {error ? <a href={href([all])}>All {all}</a> : <Nothing>Loading…</Nothing>}
    </>
  )
}
