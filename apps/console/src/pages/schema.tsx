/** The schema of one type: its versions, their differences and their usage. */
import type { DeadLetterGroup, Page, SchemaVersion, SchemaVersions } from '@eventflow/client'
import type { EventType, Json, SchemaUsage } from '../answers.js'
import { count, percent, quoted, shellWord } from '../format.js'
import { Badge, Heading, Nothing, Problem, Same, Time } from '../parts/basics.js'
import { Changes } from '../parts/changes.js'
import { useFirstOf } from '../parts/first-of.js'
import { Payload } from '../parts/json.js'
import { CompatibilityButton, RegisterButton } from '../parts/schema-actions.js'
import { number, Table } from '../parts/table.js'
import { go, href, route } from '../route.js'
import { useGet } from '../use-get.js'

export function SchemaPage({ type }: { type: string }) {
  const path = `v1/schemas/${encodeURIComponent(type)}`
  const { answer, error, again } = useGet<SchemaVersions>(path)
  const { answer: types } = useGet<Page<EventType>>('v1/event-types')
  const { answer: usage } = useGet<SchemaUsage>(`${path}/usage`)
  if (!answer) {
    return (
      <>
        <Heading>Schema</Heading>
        <Problem error={error} />
        {error ? <a href={href(['schemas'])}>All event types</a> : <Nothing>Loading…</Nothing>}
      </>
    )
  }
  const { latest, compatibility } = answer
  return (
    <>
      <Heading aside={<RegisterButton label="New version…" type={type} latest={latest.schema as Json} done={again} />}>
        {type}
      </Heading>
      <dl class="facts">
        <dt>Compatibility</dt>
        <dd>
          {compatibility} <CompatibilityButton type={type} mode={compatibility} done={again} />
        </dd>
        <dt>Definition</dt>
        <dd>{types && describeCode(types.items.find((defined) => defined.type === type))}</dd>
        <dt>Usage</dt>
        <dd>{usage && <Usage usage={usage} latest={latest} />}</dd>
        <Dead type={type} />
      </dl>
      <Versions of={answer} usage={usage} />
      <Compared of={answer} />
      <Same
        sql={`SELECT version, origin, registered_by, registered_at, schema\nFROM event_schemas WHERE tenant_id = 'default' AND type = ${quoted(type)} ORDER BY version;`}
        cli={`eventflow schemas versions ${shellWord(type)}\neventflow schemas get ${shellWord(type)} > schema.json\neventflow schemas check ${shellWord(type)} schema.json`}
        http={`/${path}`}
      />
    </>
  )
}

function describeCode(definition: EventType | undefined): string {
  if (!definition) return 'No definition is loaded: events of this type become dead letters.'
  const { description, validate_at, lifts } = definition
  const checked = validate_at === 'ingest' ? 'Validated at ingest: data that does not fit is refused with 422.' : ''
  const lifted =
    lifts.length > 0 ? `Upcasts data of ${lifts.length === 1 ? 'version' : 'versions'} ${lifts.join(', ')}.` : ''
  return [description, checked || 'Validated by the worker: events that do not fit become dead letters.', lifted]
    .filter(Boolean)
    .join(' ')
}

/** What recent events say about the schema. */
function Usage({ usage, latest }: { usage: SchemaUsage; latest: SchemaVersions['latest'] }) {
  const events = usage.versions.reduce((sum, version) => sum + version.events, 0)
  const named = (latest.schema as { properties?: Record<string, Json> }).properties
  const unknown = named ? usage.fields.filter(({ name }) => !Object.hasOwn(named, name)) : []
  const unnamed = usage.versions.find(({ version }) => version === null)?.events ?? 0
  return (
    <>
      {count(events)} of the last {count(usage.looked_at)} events
      {events > 0 && `; ${describeNaming(events - unnamed)} a version`}.
      {unknown.length > 0 && (
        <p>
          Fields that version {latest.version} does not define:{' '}
          {unknown.slice(0, 10).map(({ name, events: having }, i) => (
            <span key={name}>
              {i > 0 && ', '}
              <code>{name}</code> in {percent(having, unnamed)}
            </span>
          ))}
          {unknown.length > 10 && ` and ${count(unknown.length - 10)} more`}.
        </p>
      )}
    </>
  )
}

const describeNaming = (named: number) =>
  named === 0 ? 'none names' : `${count(named)} ${named === 1 ? 'names' : 'name'}`

/** The open dead letters that failed because of the schema. */
function Dead({ type }: { type: string }) {
  const { answer } = useGet<{ groups: DeadLetterGroup[] }>(
    `v1/dead-letters?group=true&type=${encodeURIComponent(type)}`,
  )
  const groups = answer?.groups.filter(({ error_class }) => ['SchemaError', 'UnknownSchema'].includes(error_class))
  if (!groups || groups.length === 0) return null
  return (
    <>
      <dt>Dead letters</dt>
      <dd>
        {groups.map(({ error_class, count: dead }, i) => (
          <span key={error_class}>
            {i > 0 && ', '}
            <a href={href(['dead-letters'], { type, error_class })}>
              {count(dead)} {error_class}
            </a>
          </span>
        ))}
      </dd>
    </>
  )
}

/** The version that the address names, or the last. */
function shownVersion({ latest, versions }: SchemaVersions): number {
  const asked = Number(route.value.params.version)
  return versions.some(({ version }) => version === asked) ? asked : latest.version
}

function Versions({ of, usage }: { of: SchemaVersions; usage: SchemaUsage | undefined }) {
  const { type, versions } = of
  const shown = shownVersion(of)
  const named = new Map(usage?.versions.map(({ version, events }) => [version, events]))
  const { first, more } = useFirstOf(versions.toReversed())
  return (
    <section>
      <h2>Versions</h2>
      <Table
        label="Versions"
        columns={['Version', 'Origin', 'Registered by', 'Registered', number('Recent events naming it')]}
        links
      >
        {first.map(({ version, origin, registered_by, registered_at }) => (
          <tr key={version}>
            <td>
              <a
                class="row"
                href={href(['schemas', type], { version: `${version}` })}
                {...(version === shown && { 'aria-current': 'true' as const })}
              >
                {version}
              </a>
            </td>
            <td>{origin === 'code' ? <Badge of="code" /> : 'HTTP'}</td>
            <td class="cut" title={registered_by}>
              {origin === 'code' ? 'definition' : registered_by}
            </td>
            <td>
              <Time at={registered_at} />
            </td>
            <td class="number">{usage ? count(named.get(version) ?? 0) : '–'}</td>
          </tr>
        ))}
      </Table>
      {more}
    </section>
  )
}

/** One version, and its differences from another: by default from the one before it. */
function Compared({ of }: { of: SchemaVersions }) {
  const { type } = of
  const numbers = of.versions.map(({ version }) => version)
  const shown = shownVersion(of)
  const asked = Number(route.value.params.against)
  const against = numbers.includes(asked) ? asked : numbers[numbers.indexOf(shown) - 1]
  const path = `v1/schemas/${encodeURIComponent(type)}/versions`
  const { answer: one } = useGet<SchemaVersion>(`${path}/${shown}`)
  const { answer: other } = useGet<SchemaVersion>(against === undefined ? '' : `${path}/${against}`)
  const choose = (version: number, compared: number) =>
    go(['schemas', type], { version: `${version}`, against: `${compared}` })
  return (
    <section class="compared">
      {one && <Payload title={`Version ${shown}`} value={one.schema as Json} sensitive={[]} />}
      {against !== undefined && (
        <section>
          <header>
            <h2>Changes</h2>
            <label>
              compared with version{' '}
              <select value={against} onChange={(e) => choose(shown, Number(e.currentTarget.value))}>
                {numbers
                  .filter((number) => number !== shown)
                  .map((number) => (
                    <option value={number} key={number}>
                      {number}
                    </option>
                  ))}
              </select>
            </label>
          </header>
          {one && other && <Changes before={other.schema as Json} after={one.schema as Json} />}
        </section>
      )}
    </section>
  )
}
