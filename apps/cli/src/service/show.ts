/** How commands that ask the service print what it answered. */
import { type Print, table } from '../table.js'

/** Where a command prints, and how. */
export interface ShowOptions {
  json?: boolean
  print: Print
  /** For what is no result. */
  note: Print
}

/** How a list is shown. */
interface List<Item> {
  /** The note where it is empty. */
  none?: string
  heading: readonly string[]
  rowOf: (item: Item) => string[]
  /** Columns that are flush right. */
  right?: readonly string[]
}

/** Prints a list: as JSON one item a line, or else a table. */
export function showList<Item>(
  items: readonly Item[],
  { none, heading, rowOf, right }: List<Item>,
  { json, print, note }: ShowOptions,
): void {
  if (json) for (const item of items) print(JSON.stringify(item))
  else if (items.length === 0 && none) note(none)
  else print(table(heading, items.map(rowOf), right))
}

/** Prints one thing, as JSON in one line or else in words. Gives the exit code: 1, with a note, when there is none. */
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
