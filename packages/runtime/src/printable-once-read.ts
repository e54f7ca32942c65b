/** Log lines for a program that parses their JSON and prints the texts in it on a terminal. */
import { printable } from '@eventflow/core'

/**
 * A line of JSON whose texts are printable after parsing: the escape of a control character becomes the text of that
 * escape.
 */
export function printableOnceRead(json: string): string {
  return printable(json).replace(/\\(.)/g, (escaped, kind) => ('ubfr'.includes(kind) ? `\\${escaped}` : escaped))
}
