/** Long lists: the first of them, and more where they are asked for. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { count } from '../format.js'

/** So many are shown at first; and with each step so many times as many. */
const AT_FIRST = 100
const STEP = 10

/** The items to show, and the button for more; nothing where all are shown. */
export function useFirstOf<Item>(items: readonly Item[]): { first: readonly Item[]; more: ComponentChildren } {
  const [limit, setLimit] = useState(AT_FIRST)
  const left = items.length - limit
  const more = left > 0 && (
    <div class="buttons">
      <button type="button" onClick={() => setLimit(STEP * limit)}>
        Show more
      </button>
      and {count(left)} more
    </div>
  )
  return { first: items.slice(0, limit), more }
}
