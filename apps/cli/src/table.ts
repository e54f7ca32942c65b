/** What commands print: columns, and spans of time. */
import { printable } from '@eventflow/core'

/** Where a command writes a line or a block of text. */
export type Print = (text: string) => void

/**
 * A table with a heading, one line a row, also where a cell has line breaks in it. Columns named in `right` are flush
 * right, as numbers are.
 */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const shown = rows.map((row) => row.map((cell) => printable(oneLine(cell))))
  const widths = heading.map((name, i) => Math.max(name.length, ...shown.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (right.includes(heading[i]!) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [heading, ...shown].map(line).join('\n')
}

/** A span of time in the two units that matter: `4.2 s`, `3 min 20 s`, `5 h 10 min`, `2 d 3 h`. */
export function span(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const two = (large: string, size: number, small: string, part: number) =>
    `${Math.floor(seconds / size)} ${large} ${Math.floor((seconds % size) / part)} ${small}`
  if (seconds < 3_600) return two('min', 60, 's', 1)
  if (seconds < 86_400) return two('h', 3_600, 'min', 60)
  return two('d', 86_400, 'h', 3_600)
}

/** A text that others wrote, in one line: what would begin another one is a space. */
export function oneLine(text: string): string {
  return text.replace(/[\t-\r\x85\u2028\u2029]+/g, ' ')
}
