/** One consumer group: its state, its partitions and its dead letters. */
import type { Group, WholeGroup } from '@eventflow/client'
import { useState } from 'preact/hooks'
import { count, duration, quoted, shellWord } from '../format.js'
import { Badge, Heading, Nothing, Problem, Same, Time } from '../parts/basics.js'
import { PauseButton, ResumeButton } from '../parts/group-actions.js'
import { GroupDeadLetters } from '../parts/group-dead-letters.js'
import { describePlace, ResetButton } from '../parts/group-reset.js'
import { number, Table } from '../parts/table.js'
import { href, route } from '../route.js'
import { useGet } from '../use-get.js'
import { lagged, stateOf } from './groups.js'

/** How often the group is read, in milliseconds. */
const LOOK_MS = 2_000

export function GroupPage({ name }: { name: string }) {
  const path = `v1/groups/${encodeURIComponent(name)}`
  const { answer: group, error, again } = useGet<WholeGroup>(path, LOOK_MS)
  const [changes, setChanges] = useState(0)
  if (!group) {
    return (
      <>
        <Heading>{name}</Heading>
        <Problem error={error} />
        {!error && <Nothing>Loading…</Nothing>}
        {error && <a href={href(['groups'])}>All groups</a>}
      </>
    )
  }
  const changed = () => {
    setChanges(changes + 1)
    again()
  }
  return (
    <>
      <Heading aside={<Actions group={group} done={changed} />}>
        {name} <Badge of={stateOf(group)} />
      </Heading>
      <Problem error={error} />
      <Facts group={group} />
      <Partitions partitions={group.partitions} />
      <GroupDeadLetters name={name} params={route.value.params} changes={changes} done={changed} />
      <Same
        sql={sqlOf(name)}
        cli={`eventflow groups show ${shellWord(name)}\neventflow groups dlq ${shellWord(name)}`}
        http={`/${path}`}
      />
    </>
  )
}

function Actions({ group, done }: { group: WholeGroup; done: () => void }) {
  return (
    <>
      {group.paused ? <ResumeButton group={group} done={done} /> : <PauseButton group={group} done={done} />}
      <ResetButton group={group} done={done} />
    </>
  )
}

function Facts({ group }: { group: WholeGroup }) {
  const { kind, version, generation, types, created_at, paused, reset, owners, lag, parked, dead_letters } = group
  return (
    <dl class="facts">
      {paused && (
        <>
          <dt>Paused</dt>
          <dd>
            <Time at={paused.at} /> by {paused.by}: {paused.reason}
          </dd>
        </>
      )}
      {reset && (
        <>
          <dt>Reset</dt>
          <dd>
            <Reset reset={reset} />
          </dd>
        </>
      )}
      <dt>Lag</dt>
      <dd>
        {lagged(lag)} {lag.events === 1 && !lag.more ? 'event' : 'events'}
        {(lag.events > 0 || lag.more) && `, ${duration(lag.seconds)} behind`}
      </dd>
      <dt>Parked</dt>
      <dd>{count(parked)}</dd>
      <dt>Dead letters</dt>
      <dd>{dead_letters > 0 ? <span class="bad">{count(dead_letters)} open</span> : 'none open'}</dd>
      {group.state && <StateFacts name={group.name} kind={kind} state={group.state} />}
      <dt>Event types</dt>
      <dd>
        {types.length === 0
          ? 'all'
          : types.map((type, i) => (
              <span key={type}>
                {i > 0 && ', '}
                <a href={href(['schemas', type])}>{type}</a>
              </span>
            ))}
      </dd>
      <dt>Kind</dt>
      <dd>{kind === 'external' ? 'external, read by a program over HTTP' : `${kind}, defined in code`}</dd>
      <dt>Version</dt>
      <dd>
        {version}
        {generation > 1 && `, generation ${generation}`}
      </dd>
      <dt>Read by</dt>
      <dd>{owners.length > 0 ? owners.join(', ') : kind !== 'external' ? <span class="bad">no worker</span> : '–'}</dd>
      <dt>Created</dt>
      <dd>
        <Time at={created_at} />
      </dd>
    </dl>
  )
}

/** What a window or a join holds of all tenants. */
function StateFacts({ name, kind, state }: { name: string; kind: string; state: NonNullable<Group['state']> }) {
  const {
    open_windows,
    results,
    waiting,
    late_events,
    watermark,
    watermark_lag_seconds: lag,
    lagging,
    building,
  } = state
  return (
    <>
      <dt>{kind === 'join' ? 'Waiting events' : 'Open windows'}</dt>
      <dd>
        {kind === 'join' ? count(waiting) : `${count(open_windows)}, with ${count(results)} results`},{' '}
        <a href={href([`${kind}s`, name])}>of the own tenant</a>
      </dd>
      <dt>Late events</dt>
      <dd>{count(late_events)}</dd>
      <dt>Watermark</dt>
      <dd>
        {watermark ? <Time at={watermark.min} /> : 'no event yet'}
        {lagging && `, ${duration(lag)} behind in partition ${lagging.partition} of the tenant ${lagging.tenant}`}
      </dd>
      {building && (
        <>
          <dt>Rebuilding</dt>
          <dd>
            generation {building.generation}, {Math.floor(building.done * 100)} % of the log
          </dd>
        </>
      )}
    </>
  )
}

function Reset({ reset: { status, to, requested_by, requested_at, error } }: { reset: NonNullable<Group['reset']> }) {
  return (
    <>
      {status === 'failed' ? 'failed' : `to ${to ? describePlace(to) : 'another place'}, waits for a worker`}, requested
      by {requested_by} <Time at={requested_at} />
      {error && (
        <>
          : <span class="bad">{error}</span>
        </>
      )}
    </>
  )
}

function Partitions({ partitions }: Pick<WholeGroup, 'partitions'>) {
  return (
    <section>
      <h2>Partitions</h2>
      <Table
        label="Partitions"
        columns={[
          number('Partition'),
          'Owner',
          number('Lag'),
          number('Behind'),
          number('Parked'),
          number('Dead letters'),
          number('Position'),
          number('End of the log'),
        ]}
      >
        {partitions.map(({ partition, owner, lag, parked, dead_letters, position, last }) => (
          <tr key={partition}>
            <th scope="row" class="number">
              {partition}
            </th>
            <td class="cut" title={owner ?? ''}>
              {owner ?? <span class="warn">none</span>}
            </td>
            <td class="number">{lagged(lag)}</td>
            <td class="number">{lag.events > 0 || lag.more ? duration(lag.seconds) : '–'}</td>
            <td class="number">{count(parked)}</td>
            <td class="number">{count(dead_letters)}</td>
            <td class="number">{count(position)}</td>
            <td class="number">{count(last)}</td>
          </tr>
        ))}
      </Table>
    </section>
  )
}

const sqlOf = (name: string) => `SELECT partition, owner, position, lease_expires_at > now() AS held
FROM consumer_groups JOIN group_cursors USING (group_id, generation) LEFT JOIN group_leases USING (group_id, partition)
WHERE tenant_id = 'default' AND name = ${quoted(name)} ORDER BY partition;`
