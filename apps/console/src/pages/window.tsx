/** One window: its results over time, the open ones, and late events. */
import type { OpenWindow, Page, WindowResult, WindowSummary } from '@eventflow/client'
import { type Params, queryOf } from '../api.js'
import { numericAggregates } from '../bars.js'
import { readForm } from '../form.js'
import { fromLocalTime, localTime, quoted, shellWord } from '../format.js'
import { Badge, Heading, Problem, Same, Time } from '../parts/basics.js'
import { Listed } from '../parts/listed.js'
import { ResultsChart } from '../parts/results-chart.js'
import { counted, LateEvents, LOOK_MS, NotRead, StatefulFacts, stateOf } from '../parts/stateful.js'
import { Clamped, number, Table } from '../parts/table.js'
import { go, href, route } from '../route.js'
import { useGet } from '../use-get.js'

const FIELDS = ['key', 'from', 'to']

/** The most results in the chart. */
const CHARTED = '200'

/** The most aggregates with a column of their own. */
const COLUMNS = 6

export function WindowPage({ name }: { name: string }) {
  const path = `v1/windows/${encodeURIComponent(name)}`
  const { answer: window, error } = useGet<WindowSummary>(path, LOOK_MS)
  const { params } = route.value
  const filter = Object.fromEntries(FIELDS.map((field) => [field, params[field]])) as Params
  if (!window) {
    return (
      <>
        <Heading>{name}</Heading>
        <NotRead error={error} all="windows" />
      </>
    )
  }
  return (
    <>
      <Heading>
        {name} <Badge of={stateOf(window)} />
      </Heading>
      <Problem error={error} />
      <dl class="facts">
        <dt>Open windows</dt>
        <dd>{counted(window.open_windows)}</dd>
        <dt>Results</dt>
        <dd>{counted(window.results)}</dd>
        <StatefulFacts of={window} />
      </dl>
      <Filter name={name} filter={filter} />
      <OverTime name={name} path={path} filter={filter} chosen={params.of} />
      <Results path={path} filter={filter} key={queryOf(filter)} />
      <OpenWindows path={path} chosen={filter.key} key={`open ${filter.key}`} />
      <LateEvents path={path} />
      <Same sql={sqlOf(name, filter)} cli={cliOf(name, filter)} http={`/${path}/results${queryOf(filter)}`} />
    </>
  )
}

function Filter({ name, filter }: { name: string; filter: Params }) {
  const submit = (event: SubmitEvent) => {
    const { text } = readForm(event)
    go(['windows', name], {
      ...(route.value.params.of && { of: route.value.params.of }),
      key: text('key'),
      from: fromLocalTime(text('from')),
      to: fromLocalTime(text('to')),
    })
  }
  return (
    <form class="filter" onSubmit={submit} key={queryOf(filter)} aria-label="Results">
      <label>
        Key
        <input name="key" type="search" defaultValue={filter.key ?? ''} placeholder="all keys" />
      </label>
      <label>
        Ends after
        <input name="from" type="datetime-local" step="1" defaultValue={localTime(filter.from)} />
      </label>
      <label>
        and until
        <input name="to" type="datetime-local" step="1" defaultValue={localTime(filter.to)} />
      </label>
      <div class="buttons">
        <button type="submit" class="main">
          Show
        </button>
        <a class="button quiet" href={href(['windows', name])}>
          Clear
        </a>
      </div>
    </form>
  )
}

interface OverTimeProps {
  name: string
  path: string
  filter: Params
  /** The chosen aggregate. */
  chosen: string | undefined
}

/** The results of the chosen key; of the one with the latest result, if none is chosen. */
function OverTime({ name, path, filter, chosen }: OverTimeProps) {
  const latest = useGet<Page<WindowResult>>(filter.key ? '' : `${path}/results${queryOf({ ...filter, limit: '1' })}`)
  const key = filter.key ?? latest.answer?.items[0]?.key
  const { answer } = useGet<Page<WindowResult>>(
    key === undefined ? '' : `${path}/results${queryOf({ ...filter, key, limit: CHARTED })}`,
  )
  const results = answer?.items ?? []
  const aggregates = numericAggregates(results)
  const aggregate = aggregates.find((one) => one === chosen) ?? aggregates[0]
  if (key === undefined || aggregate === undefined) return null
  return (
    <>
      <ResultsChart title={`${aggregate} of ${key}`} results={results} aggregate={aggregate} />
      {aggregates.length > 1 && (
        <nav class="tabs" aria-label="Aggregate of the chart">
          {aggregates.map((one) => (
            <a
              key={one}
              href={href(['windows', name], { ...filter, of: one })}
              {...(one === aggregate && { 'aria-current': 'page' })}
            >
              {one}
            </a>
          ))}
        </nav>
      )}
    </>
  )
}

function Results({ path, filter }: { path: string; filter: Params }) {
  return (
    <Listed<WindowResult>
      path={`${path}/results`}
      params={filter}
      label="Results"
      none="There is no result."
      more="Load older"
    >
      {(items) => <ResultTable items={items} />}
    </Listed>
  )
}

function ResultTable({ items }: { items: readonly WindowResult[] }) {
  const names = Object.keys(items[0]!.result)
  const single = names.length <= COLUMNS
  const numeric = new Set(numericAggregates(items))
  const columns = single ? names.map((name) => (numeric.has(name) ? number(name) : name)) : ['Result']
  return (
    <Table label="Results" columns={['Start', 'End', 'Key', ...columns]}>
      {items.map(({ key, start, end, result }) => (
        <tr key={`${start} ${key}`}>
          <td>
            <Time at={start} />
          </td>
          <td>
            <Time at={end} />
          </td>
          <td class="cut" title={key}>
            {key}
          </td>
          {single ? (
            names.map((name) => (
              <td class={numeric.has(name) ? 'number' : 'wide'} key={name}>
                {numeric.has(name) ? shown(result[name]) : <Clamped text={shown(result[name])} />}
              </td>
            ))
          ) : (
            <td class="wide">
              <Clamped text={shown(result)} />
            </td>
          )}
        </tr>
      ))}
    </Table>
  )
}

const shown = (value: unknown) => (typeof value === 'string' ? value : (JSON.stringify(value) ?? '–'))

function OpenWindows({ path, chosen }: { path: string; chosen: string | undefined }) {
  return (
    <Listed<OpenWindow>
      path={`${path}/open`}
      params={{ key: chosen }}
      label="Open windows"
      none="No window is open."
      more="Load more"
    >
      {(items) => (
        <Table label="Open windows" columns={['Start', 'End', 'Closes at', 'Key', 'State']}>
          {items.map(({ key, start, end, closes_at, state }, i) => (
            <tr key={i}>
              <td>
                <Time at={start} />
              </td>
              <td>
                <Time at={end} />
              </td>
              <td>
                <Time at={closes_at} />
              </td>
              <td class="cut" title={key}>
                {key}
              </td>
              <td class="wide">
                <Clamped text={JSON.stringify(state)} />
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Listed>
  )
}

function sqlOf(name: string, { key, from, to }: Params): string {
  const conditions = [
    `g.name = ${quoted(name)} AND r.tenant_id = 'default'`,
    key && `key = ${quoted(key)}`,
    from && `end_at > ${quoted(from)}`,
    to && `end_at <= ${quoted(to)}`,
  ].filter(Boolean)
  return `SELECT key, start_at, end_at, result
FROM window_results r JOIN window_groups g USING (group_id, generation)
WHERE ${conditions.join('\n  AND ')}
ORDER BY end_at DESC, key LIMIT 50;`
}

function cliOf(name: string, filter: Params): string {
  const options = FIELDS.flatMap((field) => (filter[field] ? [`--${field} ${shellWord(filter[field])}`] : []))
  const of = shellWord(name)
  return [
    ['eventflow windows results', of, ...options].join(' '),
    `eventflow windows open ${of}`,
    `eventflow windows late ${of}`,
  ].join('\n')
}
