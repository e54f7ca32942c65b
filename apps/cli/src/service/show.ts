/** Prints the answers of the service. */
import { type Print, table } from '../table.js'

/** The output of a command and its format. */
export interface ShowOptions {
  json?: boolean
  print: Print
  /** For messages that are not results. */
  note: Print
}

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
