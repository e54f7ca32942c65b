/** The choice of the schema version that a replayed event is read as. */
import type { SchemaVersions } from '../answers.js'
import { useGet } from '../use-get.js'

/** A field `schema_version` of a form; nothing if the type has no schema. */
export function VersionChoice({ type }: { type: string }) {
  const { answer } = useGet<SchemaVersions>(`v1/schemas/${encodeURIComponent(type)}`)
  if (!answer) return null
  return (
    <label>
      Read as
      <select name="schema_version">
        <option value="">what each event says of itself</option>
        {answer.versions.toReversed().map(({ version }) => (
          <option value={version} key={version}>
            version {version} of its schema
          </option>
        ))}
      </select>
    </label>
  )
}
