/** The event types that have a schema. */
import type { Page, SchemaSummary } from '@eventflow/client'
import type { EventType } from '../answers.js'
import { count } from '../format.js'
import { Heading, Nothing, Problem, Same, Time } from '../parts/basics.js'
import { useFirstOf } from '../parts/first-of.js'
import { RegisterButton } from '../parts/schema-actions.js'
import { number, Table } from '../parts/table.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'

export function SchemasPage() {
  const { answer, error, again } = useGet<{ items: SchemaSummary[] }>('v1/schemas')
  const { answer: types } = useGet<Page<EventType>>('v1/event-types')
  return (
    <>
      <Heading aside={<RegisterButton label="New event type…" done={again} />}>Schemas</Heading>
      <Problem error={error} />
      {answer?.items.length === 0 && (
        <Nothing>No schema is registered yet. Definitions register their schemas when EventFlow starts.</Nothing>
      )}
      {answer && answer.items.length > 0 && <Types items={answer.items} types={types?.items ?? []} />}
      <Same sql={SQL} cli="eventflow schemas ls" http="/v1/schemas" />
    </>
  )
}

const SQL = `SELECT type, max(version) AS latest, count(*) AS versions
FROM event_schemas WHERE tenant_id = 'default' GROUP BY type ORDER BY type;`

function Types({ items, types }: { items: readonly SchemaSummary[]; types: readonly EventType[] }) {
  const { first, more } = useFirstOf(items)
  return (
    <>
      <Table
        label="Types"
        columns={[
          'Type',
          number('Latest'),
          number('Versions'),
          'Compatibility',
          'Definition',
          'Validated',
          'Last registered',
        ]}
        links
      >
        {first.map(({ type, latest, versions, compatibility, registered_at }) => {
          const definition = types.find((defined) => defined.type === type)
          return (
            <tr key={type}>
              <td class="cut" title={type}>
                <a class="row" href={href(['schemas', type])}>
                  {type}
                </a>
              </td>
              <td class="number">{count(latest)}</td>
              <td class="number">{count(versions)}</td>
              <td>{compatibility}</td>
              <td>{definition ? 'loaded' : 'none'}</td>
              <td>{definition ? describeCheck(definition) : '–'}</td>
              <td>
                <Time at={registered_at} />
              </td>
            </tr>
          )
        })}
      </Table>
      {more}
    </>
  )
}

const describeCheck = ({ validate_at }: EventType) => (validate_at === 'ingest' ? 'at ingest' : 'by the worker')
