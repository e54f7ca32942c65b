/** The schema of one type: its versions, their differences, and their use. */
import type { DeadLetterGroup, EventType, Json, Page, SchemaUsage, SchemaVersion, SchemaVersions } from '../answers.js'
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
        {error ? <a href={href(['schemas'])}>All types</a> : <Nothing>Looking…</Nothing>}
      </>
    )
  }
  const { latest, compatibility } = answer
  return (
    <>
      <Heading aside={<RegisterButton label="A new version…" type={type} latest={latest.schema} done={again} />}>
        {type}
      </Heading>
      <dl class="facts">
        <dt>Compatibility</dt>
        <dd>
          {compatibility} <CompatibilityButton type={type} mode={compatibility} done={again} />
        </dd>
        <dt>Code for it</dt>
        <dd>{types && describeCode(types.items.find((defined) => defined.type === type))}</dd>
        <dt>Used</dt>
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
  if (!definition) return 'None is loaded: its events become dead letters.'
  const { description, validate_at, lifts } = definition
  const checked = validate_at === 'ingest' ? 'Checked at ingest: what does not fit is refused with 422.' : ''
  const lifted = lifts.length > 0 ? `It lifts ${lifts.length === 1 ? 'version' : 'versions'} ${lifts.join(', ')}.` : ''
  return [description, checked || 'Checked by the worker: what does not fit becomes a dead letter.', lifted]
    .filter(Boolean)
    .join(' ')
}

/** Describes how the last events use the schema. */
function Usage({ usage, latest }: { usage: SchemaUsage; latest: SchemaVersion }) {
  const events = usage.versions.reduce((sum, version) => sum + version.events, 0)
  const named = (latest.schema as { properties?: Record<string, Json> }).properties
  const unknown = named ? usage.fields.filter(({ name }) => !Object.hasOwn(named, name)) : []
  const unnamed = usage.versions.find(({ version }) => version === null)?.events ?? 0
  return (
    <>
      By {count(events)} of the last {count(usage.looked_at)} events
      {events > 0 && `; ${unnamed === events ? 'none names' : `${count(events - unnamed)} name`} a version`}.
      {unknown.length > 0 && (
        <p>
          Fields that version {latest.version} does not name:{' '}
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

/** The open dead letters caused by the schema. */
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

/** The version to show: the one in the address, or the last. */
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
      <Table label="Versions" columns={['Version', 'From', 'By', 'Registered', number('Named by events lately')]} links>
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
              {origin === 'code' ? 'its definition' : registered_by}
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

/** One version, and its differences to another one: by default, the previous version. */
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
      {one && <Payload title={`Version ${shown}`} value={one.schema} sensitive={[]} />}
      {against !== undefined && (
        <section>
          <header>
            <h2>What differs</h2>
            <label>
              from version{' '}
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
          {one && other && <Changes before={other.schema} after={one.schema} />}
        </section>
      )}
    </section>
  )
}
