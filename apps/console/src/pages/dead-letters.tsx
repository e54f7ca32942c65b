/** Dead letters: grouped, one by one, and the operations on them. */
import type { DeadLetter, DeadLetterGroup, Page } from '@eventflow/client'
import { useEffect, useState } from 'preact/hooks'
import { type ApiError, get, type Params, queryOf } from '../api.js'
import { readForm } from '../form.js'
import { count, fromLocalTime, localTime, quoted, shellWord, shortId } from '../format.js'
import { DiscardButton, ReplayButton } from '../parts/actions.js'
import { Heading, Nothing, Problem, Same, Spark, Time } from '../parts/basics.js'
import { useFirstOf } from '../parts/first-of.js'
import { AuditTrail, Operations } from '../parts/operations.js'
import { Clamped, number, Table } from '../parts/table.js'
import { go, href, route } from '../route.js'
import { useGet } from '../use-get.js'

const STATUSES = ['open', 'replaying', 'replayed', 'discarded']
const FIELDS = ['type', 'error_class', 'key', 'from', 'to']

/** How often groups and operations are read, in milliseconds. */
const LOOK_MS = 5_000

export function DeadLettersPage() {
  const { params } = route.value
  const status = params.status ?? 'open'
  const filter = Object.fromEntries(FIELDS.flatMap((name) => (params[name] ? [[name, params[name]]] : []))) as Record<
    string,
    string
  >
  const [changes, setChanges] = useState(0)
  const changed = () => setChanges(changes + 1)
  const tabs = (
    <nav class="tabs" aria-label="Status of the dead letters">
      {STATUSES.map((name) => (
        <a
          key={name}
          href={href(['dead-letters'], { ...filter, ...(name !== 'open' && { status: name }) })}
          {...(name === status && { 'aria-current': 'page' })}
        >
          {name}
        </a>
      ))}
    </nav>
  )
  return (
    <>
      <Heading aside={tabs}>Dead letters</Heading>
      <FilterForm filter={filter} status={status} />
      <Groups filter={filter} status={status} changes={changes} changed={changed} />
      <Letters filter={filter} status={status} key={`${queryOf({ ...filter, status })} ${changes}`} />
      <Operations changes={changes} />
      <AuditTrail changes={changes} />
      <Same
        sql={sqlOf(filter, status)}
        cli={`eventflow dlq ls${optionsOf(filter)}\neventflow dlq replay${optionsOf(filter)} --dry-run`}
        http={`/v1/dead-letters${queryOf({ ...filter, status, group: 'true' })}`}
      />
    </>
  )
}

/** Key and time; type and error are chosen in the groups below. */
function FilterForm({ filter, status }: { filter: Record<string, string>; status: string }) {
  const submit = (event: SubmitEvent) => {
    const { text } = readForm(event)
    const times = { from: fromLocalTime(text('from')), to: fromLocalTime(text('to')) }
    go(['dead-letters'], { ...filter, key: text('key'), ...times, ...(status !== 'open' && { status }) })
  }
  return (
    <form class="filter" onSubmit={submit} key={queryOf(filter)}>
      <label>
        Key
        <input name="key" defaultValue={filter.key ?? ''} maxLength={200} />
      </label>
      <label>
        Failed since
        <input name="from" type="datetime-local" step="1" defaultValue={localTime(filter.from)} />
      </label>
      <label>
        Failed before
        <input name="to" type="datetime-local" step="1" defaultValue={localTime(filter.to)} />
      </label>
      <div class="buttons">
        <button type="submit">Filter</button>
      </div>
    </form>
  )
}

interface GroupsProps {
  filter: Record<string, string>
  status: string
  changes: number
  changed: () => void
}

function Groups({ filter, status, changes, changed }: GroupsProps) {
  const { answer, error, again } = useGet<{ groups: DeadLetterGroup[]; more: boolean }>(
    `v1/dead-letters${queryOf({ ...filter, status, group: 'true' })}`,
    LOOK_MS,
  )
  useEffect(again, [changes])
  const groups = answer?.groups ?? []
  const all = groups.reduce((sum, group) => sum + group.count, 0)
  const { first, more } = useFirstOf(groups)
  const narrowed = Object.keys(filter).length > 0
  const matching = answer?.more ? 'all matching' : `all ${count(all)} matching`
  return (
    <section aria-label="Groups">
      <Problem error={error} />
      {narrowed && (
        <p class="chips">
          {Object.entries(filter).map(([name, value]) => (
            <span class="chip" key={name}>
              <span>
                {name.replace('_', ' ')}: <strong>{value}</strong>
              </span>
              <button
                type="button"
                aria-label={`Remove the filter ${name}`}
                onClick={() =>
                  go(['dead-letters'], { ...filter, [name]: undefined, ...(status !== 'open' && { status }) })
                }
              >
                ✕
              </button>
            </span>
          ))}
        </p>
      )}
      {answer && groups.length === 0 && (
        <Nothing>{status === 'open' && !narrowed ? 'No open dead letters.' : 'No dead letters match.'}</Nothing>
      )}
      {groups.length > 0 && (
        <Table label="By type and error" columns={['Type', 'Error', number('Count'), 'Trend', 'First', 'Last']} links>
          {first.map((group) => (
            <tr key={`${group.type} ${group.error_class}`}>
              <td class="cut" title={group.type}>
                <a
                  class="row"
                  href={href(['dead-letters'], {
                    ...filter,
                    type: group.type,
                    error_class: group.error_class,
                    ...(status !== 'open' && { status }),
                  })}
                >
                  {group.type}
                </a>
              </td>
              <td class="cut" title={group.error_class}>
                {group.error_class}
              </td>
              <td class="number">{count(group.count)}</td>
              <td>
                <Spark values={group.trend} />
              </td>
              <td>
                <Time at={group.first_seen} />
              </td>
              <td>
                <Time at={group.last_seen} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {more}
      {answer?.more && <p class="hint">Only the largest groups are shown.</p>}
      {status === 'open' && all > 0 && (
        <div class="buttons">
          <ReplayButton
            filter={filter}
            type={filter.type ?? (answer?.more ? undefined : onlyTypeOf(groups))}
            done={changed}
            label={`Replay ${matching}…`}
          />
          <DiscardButton filter={filter} done={changed} label={`Discard ${matching}…`} />
        </div>
      )}
    </section>
  )
}

function onlyTypeOf(groups: readonly DeadLetterGroup[]): string | undefined {
  const types = new Set(groups.map(({ type }) => type))
  return types.size === 1 ? groups[0]!.type : undefined
}

function Letters({ filter, status }: { filter: Params; status: string }) {
  const [items, setItems] = useState<DeadLetter[]>([])
  const [next, setNext] = useState<string | null>(null)
  const [error, setError] = useState<ApiError>()
  const load = async (cursor?: string) => {
    try {
      const page = await get<Page<DeadLetter>>('v1/dead-letters', { ...filter, status, cursor, limit: '20' })
      setItems((before) => (cursor ? [...before, ...page.items] : page.items))
      setNext(page.next)
    } catch (problem) {
      setError(problem as ApiError)
    }
  }
  useEffect(() => void load(), [])
  if (items.length === 0) return <Problem error={error} />
  return (
    <section>
      <h2>Single dead letters</h2>
      <Problem error={error} />
      <Table label="Dead letters" columns={['Failed', 'Type', 'Key', 'Id', 'Error']} links>
        {items.map(({ id, type, partitionkey, failed_at, failure, resolved_by, reason }) => (
          <tr key={id}>
            <td>
              <a class="row" href={href(['events', id])}>
                <Time at={failed_at} />
              </a>
            </td>
            <td class="cut" title={type}>
              {type}
            </td>
            <td class="cut" title={partitionkey}>
              {partitionkey === id ? '–' : partitionkey}
            </td>
            <td>
              <code>…{shortId(id)}</code>
            </td>
            <td class="wide">
              <Clamped text={`${failure.component}: ${failure.message}`} />
              {resolved_by && <small>{` by ${resolved_by}${reason ? `: ${reason}` : ''}`}</small>}
            </td>
          </tr>
        ))}
      </Table>
      {next && (
        <div class="buttons">
          <button type="button" onClick={() => load(next)}>
            Load older
          </button>
        </div>
      )}
    </section>
  )
}

function sqlOf(filter: Record<string, string>, status: string): string {
  const { from, to, ...same } = filter
  const conditions = [
    `tenant_id = 'default' AND status = ${quoted(status)}`,
    ...Object.entries(same).map(([name, value]) => `${name} = ${quoted(value)}`),
    ...(from ? [`failed_at >= ${quoted(from)}`] : []),
    ...(to ? [`failed_at < ${quoted(to)}`] : []),
  ]
  return `SELECT type, error_class, count(*), min(failed_at) AS first, max(failed_at) AS last\nFROM failed_events WHERE ${conditions.join('\n  AND ')}\nGROUP BY type, error_class ORDER BY count(*) DESC;`
}

/** Names that differ on the command line. */
const NAMES: Record<string, string> = { error_class: 'error-class', from: 'since', to: 'until' }

const optionsOf = (filter: Record<string, string>) => {
  const parts = Object.entries(filter).map(([name, value]) => shellWord(`${NAMES[name] ?? name}=${value}`))
  return parts.length === 0 ? '' : ` --filter ${parts.join(' ')}`
}
