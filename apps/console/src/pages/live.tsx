/** The pipeline now and in the last hour, and its problems. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Moment, Trouble } from '../answers.js'
import { count, duration, percent, roughly } from '../format.js'
import { levelOf, lost, moment, recorded } from '../live.js'
import { Heading, Nothing, Same, Stale } from '../parts/basics.js'
import { Chart, type Line } from '../parts/chart.js'
import { FirstEvent } from '../parts/first-event.js'
import { Clamped, number, Table } from '../parts/table.js'
import { href } from '../route.js'

/** In pixels. */
const MAX_KEPT_HEIGHT = 240

const SPANS = [
  { seconds: 300, label: '5 min' },
  { seconds: 3_600, label: '1 h' },
]

const FLOW: Line[] = [
  { name: 'in', label: 'accepted', colour: '--chart-1', filled: true },
  { name: 'out', label: 'processed', colour: '--chart-2' },
  { name: 'failed', label: 'failed', colour: '--chart-3' },
]

const LATENCY: Line[] = [
  { name: 'p50', label: 'p50', colour: '--chart-2' },
  { name: 'p95', label: 'p95', colour: '--chart-1' },
  { name: 'p99', label: 'p99', colour: '--chart-3' },
]

const BACKLOG: Line[] = [{ name: 'backlog', label: 'backlog', colour: '--chart-1', filled: true }]

export function LivePage() {
  const [span, setSpan] = useState(SPANS[0]!.seconds)
  const now = moment.value
  const past = recorded.value
  const spans = (
    <fieldset class="choice">
      <legend class="unseen">Time range</legend>
      {SPANS.map(({ seconds, label }) => (
        <label key={seconds}>
          <input type="radio" name="span" checked={span === seconds} onChange={() => setSpan(seconds)} />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  )
  if (!now) return <Waiting />
  return (
    <>
      <Heading aside={spans}>Live</Heading>
      <FirstEvent empty={now.empty} />
      <Stale />
      {!lost.value && <Troubles troubles={now.troubles} />}
      <Figures now={now} />
      <div class="charts">
        <Chart title="Events per second" recorded={past} lines={FLOW} span={span} format={count} />
        <Chart title="Latency, accepted to settled" recorded={past} lines={LATENCY} span={span} format={duration} />
        <Chart title="Backlog" recorded={past} lines={BACKLOG} span={span} format={count} />
      </div>
      <Workers now={now} />
      <Same sql={SQL} cli={'eventflow lag\neventflow workers'} http="/v1/live" />
    </>
  )
}

function Waiting() {
  return (
    <>
      <Heading>Live</Heading>
      <Nothing>{lost.value || 'Loading…'}</Nothing>
    </>
  )
}

/** The problems, worst first. Screen readers hear only their number, not every change of a text. */
function Troubles({ troubles }: { troubles: readonly Trouble[] }) {
  const place = useRef<HTMLElement>(null)
  const [height, setHeight] = useState(0)
  // The section keeps its height, so that a problem that comes and goes does not move the page.
  useLayoutEffect(() => setHeight((before) => Math.max(before, Math.min(MAX_KEPT_HEIGHT, place.current!.offsetHeight))))
  return (
    <section aria-label="Problems" class="troubles" ref={place} style={{ minHeight: `${height}px` }}>
      <p class="unseen" aria-live="polite">
        {troubles.length === 0 ? 'No problems.' : `Problems: ${troubles.length}.`}
      </p>
      {troubles.length === 0 && <p class="well">No problems.</p>}
      <ul>
        {troubles.map((trouble, i) => (
          <li key={i} class={trouble.level}>
            <span class="level">{LEVELS[trouble.level]}</span>
            <span class="text">
              <Clamped text={trouble.text} />
            </span>
            <More about={trouble.about} />
          </li>
        ))}
      </ul>
    </section>
  )
}

const LEVELS = { bad: 'Critical', warn: 'Warning', info: 'Info' }

function More({ about }: { about: Trouble['about'] }) {
  if (about?.event) return <a href={href(['events', about.event])}>Open event</a>
  if (about?.group) return <a href={href(['groups', about.group])}>Open group</a>
  if (about?.page) return <a href={href([about.page])}>Details</a>
  return about?.partition === undefined ? null : <a href={href(['partitions'])}>Partitions</a>
}

function Figures({ now: { rates, recent, backlog, oldest, dead, troubles } }: { now: Moment }) {
  const level = (figure: Trouble['figure']) => levelOf(troubles, figure)
  return (
    <dl class="figures">
      <Figure name="Accepted" value={count(rates.in)} unit="/s" level={level('in')} />
      <Figure name="Processed" value={count(rates.out)} unit="/s" />
      <Figure name="p50" value={duration(rates.p50)} />
      <Figure name="p95" value={duration(rates.p95)} />
      <Figure name="p99" value={duration(rates.p99)} />
      <Figure name="Backlog" value={roughly(backlog)} />
      <Figure name="Oldest unsettled" value={duration(oldest)} level={level('oldest')} />
      <Figure name="Error rate, 5 min" value={percent(recent.failed, recent.ended)} level={level('failed')} />
      <Figure name="Dead letters" value={roughly(dead)} page="dead-letters" level={level('dead')} />
    </dl>
  )
}

interface FigureProps {
  name: string
  value: string
  unit?: string
  page?: string
  level?: Trouble['level'] | undefined
}

function Figure({ name, value, unit, page, level }: FigureProps) {
  const shown = (
    <>
      {value}
      {unit && <small>{unit}</small>}
    </>
  )
  return (
    <div class={level ?? ''}>
      <dt>{name}</dt>
      <dd>{page ? <a href={href([page])}>{shown}</a> : shown}</dd>
    </div>
  )
}

function Workers({ now: { workers, at, troubles } }: { now: Moment }) {
  if (workers.length === 0) return null
  const level = (worker: string) => troubles.find(({ about }) => about?.worker === worker)?.level ?? ''
  return (
    <section>
      <h2>Workers</h2>
      <Table
        label="Workers"
        columns={['Worker', 'Partitions', number('Settled per second'), number('Last settled'), 'Up since']}
      >
        {workers.map(
          ({ id, host, pid, alive, silentSeconds, partitions, processed, failed, lastAt, startedAt, circuits }) => (
            <tr key={id}>
              <th scope="row" class="cut" title={id}>
                {id}
                <small>
                  {host}, pid {pid}
                </small>
              </th>
              <td class="wide">
                {alive ? (
                  partitions.join(' ') || 'none'
                ) : (
                  <span class={level(id)}>no heartbeat for {duration(silentSeconds)}</span>
                )}
                {Object.entries(circuits).map(([name, state]) => (
                  <span class="badge retrying" key={name}>
                    {name} {state}
                  </span>
                ))}
              </td>
              <td class="number">{count((processed ?? 0) + (failed ?? 0))}</td>
              <td class="number">
                {lastAt > 0 ? `${duration(Math.max(0, Math.round(at / 1_000 - lastAt)))} ago` : '–'}
              </td>
              <td>{new Date(startedAt).toLocaleString('en-GB')}</td>
            </tr>
          ),
        )}
      </Table>
    </section>
  )
}

const SQL = `SELECT date_trunc('minute', processed_at) AS minute, count(*),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY processed_at - accepted_at) AS p50_p95_p99
FROM processed_events WHERE processed_at > now() - interval '1 hour'
GROUP BY minute ORDER BY minute DESC;`
