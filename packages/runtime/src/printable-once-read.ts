/** Lines of the log for a program that reads their JSON and prints the texts in it on a terminal. */
import { printable } from '@eventflow/core'

/**
 * A line of JSON whose texts are printable once it is read: an escape of a character that a terminal obeys becomes the
 * text of that escape.
 */
export function printableOnceRead(json: string): string {
  return printable(json).replace(/\\(.)/g, (escaped, kind) => ('ubfr'.includes(kind) ? `\\${escaped}` : escaped))
}
