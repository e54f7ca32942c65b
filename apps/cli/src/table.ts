/** Formats tables and durations. */
import { printable } from '@eventflow/core'

/** Writes a line or a block of text. */
export type Print = (text: string) => void

/**
 * Returns a table with a heading and one line a row, even if a cell contains line breaks. The columns in `right` are
 * right-aligned, as for numbers.
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

/** Formats a duration in at most two units: `4.2 s`, `3 min 20 s`, `5 h 10 min`, `2 d 3 h`. */
export function span(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const two = (large: string, size: number, small: string, part: number) =>
    `${Math.floor(seconds / size)} ${large} ${Math.floor((seconds % size) / part)} ${small}`
  if (seconds < 3_600) return two('min', 60, 's', 1)
  if (seconds < 86_400) return two('h', 3_600, 'min', 60)
  return two('d', 86_400, 'h', 3_600)
}

/** Returns a text of others in one line: line breaks become spaces. */
export function oneLine(text: string): string {
  return text.replace(/[\t-\r\x85\u2028\u2029]+/g, ' ')
}
