/** The joins: how many events wait in them. */
import type { JoinSummary, Page } from '@eventflow/client'
import { count } from '../format.js'
import { Badge, Heading, Nothing, Problem, Same } from '../parts/basics.js'
import { counted, LOOK_MS, Reached, stateOf } from '../parts/stateful.js'
import { number, Table } from '../parts/table.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'

export function JoinsPage() {
  const { answer, error } = useGet<Page<JoinSummary>>('v1/joins', LOOK_MS)
  return (
    <>
      <Heading>Joins</Heading>
      <Problem error={error} />
      {answer?.items.length === 0 && (
        <Nothing>There are no joins. Definitions make theirs when a worker starts.</Nothing>
      )}
      {answer && answer.items.length > 0 && <Joins joins={answer.items} />}
      {answer?.next && <p class="hint">Only the newest {count(answer.items.length)} joins are shown.</p>}
      <Same cli="eventflow joins ls" http="/v1/joins" />
    </>
  )
}

function Joins({ joins }: { joins: readonly JoinSummary[] }) {
  return (
    <Table
      label="Joins"
      columns={['Name', 'State', number('Waiting'), number('Late events'), 'Watermark', 'Event types']}
      links
    >
      {joins.map((join) => (
        <tr key={join.name}>
          <td class="cut" title={join.name}>
            <a class="row" href={href(['joins', join.name])}>
              {join.name}
            </a>
          </td>
          <td>
            <Badge of={stateOf(join)} />
          </td>
          <td class="number">{counted(join.waiting)}</td>
          <td class="number">{counted(join.late_events)}</td>
          <td>
            <Reached watermark={join.watermark} />
          </td>
          <td class="cut" title={join.types.join(', ')}>
            {join.types.join(', ')}
          </td>
        </tr>
      ))}
    </Table>
  )
}
