/** Long lists: the first items, and a button for more. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { count } from '../format.js'

/** Items shown at first; each step multiplies them by STEP. */
const AT_FIRST = 100
const STEP = 10

/** The items to show, and a button for more unless all are shown. */
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
