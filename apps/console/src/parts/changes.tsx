/** What differs between two schemas, to read. */
import type { Json } from '../answers.js'
import { changesBetween } from '../schema-diff.js'
import { Badge } from './basics.js'

export function Changes({ before, after }: { before: Json; after: Json }) {
  const changes = changesBetween(before, after)
  if (changes.length === 0) return <p class="hint">Nothing differs.</p>
  return (
    <ul class="changes">
      {changes.map((change) => (
        <li key={`${change.kind} ${change.path} ${JSON.stringify(change.before ?? change.after)}`}>
          <Badge of={change.kind} /> <code class="path">{change.path || '/'}</code>
          {change.before !== undefined && <Value of={change.before} tag="del" />}
          {change.after !== undefined && <Value of={change.after} tag="ins" />}
        </li>
      ))}
    </ul>
  )
}

function Value({ of, tag: Tag }: { of: Json; tag: 'del' | 'ins' }) {
  return (
    <Tag>
      <code>{JSON.stringify(of, null, 2)}</code>
    </Tag>
  )
}
