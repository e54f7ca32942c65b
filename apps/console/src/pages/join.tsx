/** One join: the events that wait in it, and late ones. */
import type { JoinSummary, WaitingJoinEvent } from '@eventflow/client'
import { queryOf } from '../api.js'
import { readForm } from '../form.js'
import { shellWord, shortId } from '../format.js'
import { Badge, Heading, Problem, Same, Time } from '../parts/basics.js'
import { Listed } from '../parts/listed.js'
import { counted, LateEvents, LOOK_MS, NotRead, StatefulFacts, stateOf } from '../parts/stateful.js'
import { Table } from '../parts/table.js'
import { go, href, route } from '../route.js'
import { useGet } from '../use-get.js'

const SIDES = ['left', 'right']

export function JoinPage({ name }: { name: string }) {
  const path = `v1/joins/${encodeURIComponent(name)}`
  const { answer: join, error } = useGet<JoinSummary>(path, LOOK_MS)
  if (!join) {
    return (
      <>
        <Heading>{name}</Heading>
        <NotRead error={error} all="joins" />
      </>
    )
  }
  const { key, side } = route.value.params
  const filter = { key, side }
  return (
    <>
      <Heading>
        {name} <Badge of={stateOf(join)} />
      </Heading>
      <Problem error={error} />
      <dl class="facts">
        <dt>Waiting</dt>
        <dd>{counted(join.waiting)}</dd>
        <StatefulFacts of={join} />
      </dl>
      <Filter name={name} filter={filter} />
      <Listed<WaitingJoinEvent>
        path={`${path}/waiting`}
        params={filter}
        label="Waiting events"
        none="No event waits."
        more="Load more"
        key={queryOf(filter)}
      >
        {(items) => <Waiting items={items} />}
      </Listed>
      <LateEvents path={path} />
      <Same
        cli={`eventflow joins waiting ${shellWord(name)}\neventflow joins late ${shellWord(name)}`}
        http={`/${path}/waiting${queryOf(filter)}`}
      />
    </>
  )
}

function Filter({ name, filter }: { name: string; filter: { key: string | undefined; side: string | undefined } }) {
  const submit = (event: SubmitEvent) => {
    const { text } = readForm(event)
    go(['joins', name], { key: text('key'), side: text('side') })
  }
  return (
    <form class="filter" onSubmit={submit} key={queryOf(filter)} aria-label="Waiting events">
      <label>
        Key
        <input name="key" type="search" defaultValue={filter.key ?? ''} placeholder="all keys" />
      </label>
      <label>
        Side
        <select name="side">
          <option value="">both</option>
          {SIDES.map((side) => (
            <option value={side} selected={side === filter.side} key={side}>
              {side}
            </option>
          ))}
        </select>
      </label>
      <div class="buttons">
        <button type="submit" class="main">
          Show
        </button>
        <a class="button quiet" href={href(['joins', name])}>
          Clear
        </a>
      </div>
    </form>
  )
}

function Waiting({ items }: { items: readonly WaitingJoinEvent[] }) {
  return (
    <Table label="Waiting events" columns={['Occurred', 'Expires at', 'Side', 'Joined', 'Type', 'Key', 'Id']}>
      {items.map(({ id, type, side, partitionkey, time, expires_at, matched }, i) => (
        <tr key={i}>
          <td>
            <Time at={time} />
          </td>
          <td>{expires_at === null ? 'never' : <Time at={expires_at} />}</td>
          <td>{side}</td>
          <td>{matched ? 'yes' : 'not yet'}</td>
          <td class="cut" title={type ?? ''}>
            {type ?? '–'}
          </td>
          <td class="cut" title={partitionkey}>
            {partitionkey}
          </td>
          <td>
            {id ? (
              <a href={href(['events', id])}>
                <code>…{shortId(id)}</code>
              </a>
            ) : (
              'removed'
            )}
          </td>
        </tr>
      ))}
    </Table>
  )
}
