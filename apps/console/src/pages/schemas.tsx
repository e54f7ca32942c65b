/** The types that have a schema. */
import type { EventType, Page, SchemaType } from '../answers.js'
import { count } from '../format.js'
import { Heading, Nothing, Problem, Same, Scroll, Time } from '../parts/basics.js'
import { RegisterButton } from '../parts/schema-actions.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'

export function SchemasPage() {
  const { answer, error, again } = useGet<{ items: SchemaType[] }>('v1/schemas')
  const { answer: types } = useGet<Page<EventType>>('v1/event-types')
  return (
    <>
      <Heading aside={<RegisterButton label="A new type…" done={again} />}>Schemas</Heading>
      <Problem error={error} />
      {answer?.items.length === 0 && (
        <Nothing>No schema is registered. Definitions register theirs when a process starts.</Nothing>
      )}
      {answer && answer.items.length > 0 && <Types items={answer.items} types={types?.items ?? []} />}
      <Same sql={SQL} cli="eventflow schemas ls" http="/v1/schemas" />
    </>
  )
}

const SQL = `SELECT type, max(version) AS latest, count(*) AS versions
FROM event_schemas WHERE tenant_id = 'default' GROUP BY type ORDER BY type;`

function Types({ items, types }: { items: readonly SchemaType[]; types: readonly EventType[] }) {
  return (
    <Scroll label="Types">
      <table class="rows">
        <thead>
          <tr>
            <th scope="col">Type</th>
            <th scope="col" class="number">
              Version
            </th>
            <th scope="col" class="number">
              Versions
            </th>
            <th scope="col">Compatibility</th>
            <th scope="col">Code for it</th>
            <th scope="col">Checked</th>
            <th scope="col">Last registered</th>
          </tr>
        </thead>
        <tbody>
          {items.map(({ type, latest, versions, compatibility, registered_at }) => {
            const definition = types.find((defined) => defined.type === type)
            return (
              <tr key={type}>
                <td>
                  <a class="row" href={href(['schemas', type])}>
                    {type}
                  </a>
                </td>
                <td class="number">{count(latest)}</td>
                <td class="number">{count(versions)}</td>
                <td>{compatibility}</td>
                <td>{definition ? 'yes' : 'none'}</td>
                <td>{definition ? describeCheck(definition) : '–'}</td>
                <td>
                  <Time at={registered_at} />
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </Scroll>
  )
}

const describeCheck = ({ validate_at }: EventType) => (validate_at === 'ingest' ? 'at ingest' : 'by the worker')
