/** What commands print: columns, and spans of time. */

/** Where a command writes a line or a block of text. */
export type Print = (text: string) => void

/** A table with a heading, one line a row. Columns named in `right` are flush right, as numbers are. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const widths = heading.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (right.includes(heading[i]!) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [heading, ...rows].map(line).join('\n')
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

/** A text that others wrote, in one line and without what a terminal would obey. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}
