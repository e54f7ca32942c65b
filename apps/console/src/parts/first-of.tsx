/** Long lists: shows the first items, and more on request. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { count } from '../format.js'

/** How many items are shown at first; each step multiplies that. */
const AT_FIRST = 100
const STEP = 10

/** Returns the items to show and the button for more; no button if all are shown. */
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
