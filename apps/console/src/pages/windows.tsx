/** The windows: how many are open, and how many results they have. */
import type { Page, WindowSummary } from '@eventflow/client'
import { count } from '../format.js'
import { Badge, Heading, Nothing, Problem, Same } from '../parts/basics.js'
import { counted, LOOK_MS, Reached, stateOf } from '../parts/stateful.js'
import { number, Table } from '../parts/table.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'

export function WindowsPage() {
  const { answer, error } = useGet<Page<WindowSummary>>('v1/windows', LOOK_MS)
  return (
    <>
      <Heading>Windows</Heading>
      <Problem error={error} />
      {answer?.items.length === 0 && (
        <Nothing>There are no windows. Definitions make theirs when a worker starts.</Nothing>
      )}
      {answer && answer.items.length > 0 && <Windows windows={answer.items} />}
      {answer?.next && <p class="hint">Only the newest {count(answer.items.length)} windows are shown.</p>}
      <Same sql={SQL} cli="eventflow windows ls" http="/v1/windows" />
    </>
  )
}

const SQL = `SELECT name, count(*) AS open, min(closes_at) AS next_closes
FROM open_windows WHERE tenant_id = 'default' GROUP BY name ORDER BY name;`

function Windows({ windows }: { windows: readonly WindowSummary[] }) {
  return (
    <Table
      label="Windows"
      columns={['Name', 'State', number('Open'), number('Results'), number('Late events'), 'Watermark', 'Event types']}
      links
    >
      {windows.map((window) => (
        <tr key={window.name}>
          <td class="cut" title={window.name}>
            <a class="row" href={href(['windows', window.name])}>
              {window.name}
            </a>
          </td>
          <td>
            <Badge of={stateOf(window)} />
          </td>
          <td class="number">{counted(window.open_windows)}</td>
          <td class="number">{counted(window.results)}</td>
          <td class="number">{counted(window.late_events)}</td>
          <td>
            <Reached watermark={window.watermark} />
          </td>
          <td class="cut" title={window.types.join(', ')}>
            {window.types.join(', ')}
          </td>
        </tr>
      ))}
    </Table>
  )
}
