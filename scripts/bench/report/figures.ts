/** Formats figures for people. */

/** A whole number with commas. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** At least three significant figures, and no more decimals than they need. */
export function short(value: number): string {
  if (value >= 100) return whole(value)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** Bytes in binary units. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), units.length - 1)
  return `${short(value / 2 ** (10 * power))} ${units[power]}`
}

/** Columns as wide as they need to be; the first to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
