/** The differences between two schemas. */
import type { Json } from '../answers.js'
import { changesBetween } from '../schema-diff.js'
import { Badge } from './basics.js'
import { useFirstOf } from './first-of.js'

/** The most characters of a value that are shown; both complete versions are shown elsewhere. */
const MOST = 2_000

export function Changes({ before, after }: { before: Json; after: Json }) {
  const changes = changesBetween(before, after)
  const { first, more } = useFirstOf(changes)
  if (changes.length === 0) return <p class="hint">Nothing differs.</p>
  return (
    <>
      <ul class="changes">
        {first.map((change, i) => (
          <li key={i}>
            <Badge of={change.kind} /> <code class="path">{change.path || '/'}</code>
            {change.before !== undefined && <Value of={change.before} tag="del" />}
            {change.after !== undefined && <Value of={change.after} tag="ins" />}
          </li>
        ))}
      </ul>
      {more}
    </>
  )
}

function Value({ of, tag: Tag }: { of: Json; tag: 'del' | 'ins' }) {
  const text = JSON.stringify(of, null, 2)
  return (
    <Tag>
      <code>{text.length > MOST ? `${text.slice(0, MOST)}…` : text}</code>
    </Tag>
  )
}
