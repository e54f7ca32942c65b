/** The schema version that a replay reads events as. */
import type { SchemaVersions } from '@eventflow/client'
import { useGet } from '../use-get.js'

/** The form field `schema_version`; nothing if the type has no schema. */
export function VersionChoice({ type }: { type: string }) {
  const { answer } = useGet<SchemaVersions>(`v1/schemas/${encodeURIComponent(type)}`)
  if (!answer) return null
  return (
    <label>
      Read as schema version
      <select name="schema_version">
        <option value="">the version each event names</option>
        {answer.versions.toReversed().map(({ version }) => (
          <option value={version} key={version}>
            version {version}
          </option>
        ))}
      </select>
    </label>
  )
}
