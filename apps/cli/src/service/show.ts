/** Prints the answers of the service. */
import type { Page } from '@eventflow/client'
import { type Print, table } from '../table.js'

/** The output of a command and its format. */
export interface ShowOptions {
  json?: boolean
  print: Print
  /** For messages that are not results. */
  note: Print
}

/** The largest page of most lists of the service. */
const MAX_PAGE = 1_000

/** How a list is printed. */
interface List<Item> {
  /** The message for an empty list. */
  none?: string
  heading: readonly string[]
  rowOf: (item: Item) => string[]
  /** Right-aligned columns. */
  right?: readonly string[]
}

/** Prints a list: as JSON with one item a line, or as a table. */
export function showList<Item>(
  items: readonly Item[],
  { none, heading, rowOf, right }: List<Item>,
  { json, print, note }: ShowOptions,
): void {
  if (json) for (const item of items) print(JSON.stringify(item))
  else if (items.length === 0 && none) note(none)
  else print(table(heading, items.map(rowOf), right))
}

/**
 * Prints the first page of a list, and says if there may be more; `hint` follows that. Returns the exit code. `limit`:
 * how many were asked for.
 */
export function showPage<Item>(
  { items, next }: Page<Item>,
  list: List<Item>,
  { limit, ...options }: ShowOptions & { limit: number },
  hint = '',
): number {
  showList(items, list, options)
  if (next !== null) {
    options.note(`There may be more: show more with --limit ${Math.min(MAX_PAGE, limit * 10)}${hint}`)
  }
  return 0
}

/** Prints all items of a list, by name. Resolves with the exit code. `size`: that of a page of the service. */
export async function showAll<Item extends { name: string }>(
  read: (page: { limit: number; cursor: string | undefined }) => Promise<Page<Item>>,
  list: List<Item>,
  options: ShowOptions,
  size = MAX_PAGE,
): Promise<number> {
  const items: Item[] = []
  let cursor: string | undefined
  do {
    const page = await read({ limit: size, cursor })
    items.push(...page.items)
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  showList(
    items.sort((a, b) => (a.name < b.name ? -1 : 1)),
    list,
    options,
  )
  return 0
}

/** Prints one item, as JSON in one line or in words. Returns the exit code: 1, with a message, if it is missing. */
export function showOne<Thing>(
  thing: Thing | undefined,
  { missing, inWords }: { missing: string; inWords: (thing: Thing) => string },
  { json, print, note }: ShowOptions,
): number {
  if (thing === undefined) {
    note(missing)
    return 1
  }
  print(json ? JSON.stringify(thing) : inWords(thing))
  return 0
}
