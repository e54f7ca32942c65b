/** The consumer groups: their state, and how far each is behind. */
import type { Group, Page } from '@eventflow/client'
import { count, duration } from '../format.js'
import { Badge, Heading, Nothing, Problem, Same } from '../parts/basics.js'
import { number, Table } from '../parts/table.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'

/** How often groups are read, in milliseconds. */
const LOOK_MS = 2_000

export function GroupsPage() {
  const { answer, error } = useGet<Page<Group>>('v1/groups', LOOK_MS)
  return (
    <>
      <Heading>Groups</Heading>
      <Problem error={error} />
      {answer?.items.length === 0 && (
        <Nothing>There are no consumer groups. Definitions make theirs when a worker starts.</Nothing>
      )}
      {answer && answer.items.length > 0 && <Groups groups={answer.items} />}
      {answer?.next && <p class="hint">Only the newest {count(answer.items.length)} groups are shown.</p>}
      <Same sql={SQL} cli="eventflow groups ls" http="/v1/groups" />
    </>
  )
}

const SQL = `SELECT name, kind, version, types, paused_for, paused_by
FROM consumer_groups WHERE tenant_id = 'default' ORDER BY group_id DESC;`

function Groups({ groups }: { groups: readonly Group[] }) {
  return (
    <Table
      label="Consumer groups"
      columns={[
        'Name',
        'Kind',
        'State',
        number('Lag'),
        number('Behind'),
        number('Parked'),
        number('Dead letters'),
        'Event types',
      ]}
      links
    >
      {groups.map((group) => (
        <tr key={group.name}>
          <td class="cut" title={group.name}>
            <a class="row" href={href(['groups', group.name])}>
              {group.name}
            </a>
          </td>
          <td>{group.kind}</td>
          <td>
            <Badge of={stateOf(group)} />
          </td>
          <td class="number">{lagged(group.lag)}</td>
          <td class="number">{group.lag.events > 0 || group.lag.more ? duration(group.lag.seconds) : '–'}</td>
          <td class="number">{count(group.parked)}</td>
          <td class="number">{group.dead_letters > 0 ? <span class="bad">{count(group.dead_letters)}</span> : '0'}</td>
          <td class="cut" title={group.types.join(', ')}>
            {group.types.length > 0 ? group.types.join(', ') : 'all'}
          </td>
        </tr>
      ))}
    </Table>
  )
}

/** The state in one word: `unread` if no worker reads a group that is defined in code. */
export function stateOf({ kind, paused, reset, owners }: Group): string {
  if (paused) return 'paused'
  if (reset?.status === 'pending') return 'resetting'
  return kind !== 'external' && owners.length === 0 ? 'unread' : 'running'
}

/** The number of events, which may be only a part of them. */
export const lagged = ({ events, more }: Group['lag']) => `${count(events)}${more ? ' or more' : ''}`
