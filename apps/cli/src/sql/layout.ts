/** Lays out rows for people: as a table, or with one value a line if they are too wide for that. */
import { printable } from '@eventflow/core'
import type { SqlColumn, SqlRow } from '@eventflow/db'

/** How NULL is shown: a text with these characters is rare, and an empty text looks different. */
const NULL = '(null)'

/** Formats a value in one line. */
const cellOf = (value: string | null) =>
  value === null ? NULL : printable(value.replaceAll('\n', '\\n').replaceAll('\t', '\\t'))

/**
 * Formats rows as a table, with columns as wide as the widest value so far, so that later rows are aligned with earlier
 * ones if they fit.
 */
export function createAligned(columns: readonly SqlColumn[]) {
  const names = columns.map(({ name }) => cellOf(name))
  let widths = names.map(widthOf)
  const line = (cells: readonly string[], isRight: (n: number) => boolean) =>
    cells
      .map((cell, n) => ` ${padded(cell, widths[n]!, isRight(n))} `)
      .join('|')
      .trimEnd()
  return {
    /** Widens the columns for these rows. Returns the width of a line. */
    measure(rows: readonly SqlRow[]): number {
      widths = widths.map((width, n) => rows.reduce((most, row) => Math.max(most, widthOf(cellOf(row[n]!))), width))
      return widths.reduce((sum, width) => sum + width + 3, -1)
    },
    heading: () => [line(names, () => false), widths.map((width) => '-'.repeat(width + 2)).join('+')],
    rows: (rows: readonly SqlRow[]) => rows.map((row) => line(row.map(cellOf), (n) => columns[n]!.kind === 'number')),
  }
}

/**
 * Formats each row as a block with one value a line; `first` is the number of the first row. A value that is too long
 * for its line gets several.
 */
export function expanded(
  columns: readonly SqlColumn[],
  rows: readonly SqlRow[],
  first: number,
  width: number,
): string[] {
  const names = columns.map(({ name }) => cellOf(name))
  const widest = Math.max(0, ...names.map(widthOf))
  return rows.flatMap((row, index) => {
    const title = `-[ RECORD ${first + index} ]`
    return [
      title.padEnd(Math.min(width, widest + 30), '-'),
      ...row.flatMap((value, n) =>
        valueLines(value, columns[n]!, width - widest - 3).map((text, at) =>
          `${padded(at === 0 ? names[n]! : '', widest, false)} | ${text}`.trimEnd(),
        ),
      ),
    ]
  })
}

function valueLines(value: string | null, { kind }: SqlColumn, room: number): string[] {
  if (value === null) return [NULL]
  const text = kind === 'json' && value.length > room ? indented(value) : value
  return text.split('\n').map((line) => printable(line.replaceAll('\t', '    ')))
}

/** Formats JSON with one value a line; texts and numbers are not changed. */
export function indented(json: string): string {
  let depth = 0
  const begin = () => `\n${'  '.repeat(depth)}`
  return json.replace(/"(?:[^"\\]|\\.)*"|[{[]\s*[}\]]|[{}[\],:]|\s+/g, (token) => {
    if (token === '{' || token === '[') {
      depth++
      return `${token}${begin()}`
    }
    if (token === '}' || token === ']') {
      depth--
      return `${begin()}${token}`
    }
    if (token === ',') return `,${begin()}`
    if (token === ':') return ': '
    return token.trim() === '' ? '' : token
  })
}

function padded(text: string, width: number, isRight: boolean): string {
  const room = ' '.repeat(Math.max(0, width - widthOf(text)))
  return isRight ? room + text : text + room
}

const GRAPHEMES = new Intl.Segmenter()

/** Ideographs, Hangul, full-width forms and emoji take two columns of a terminal (Unicode's UAX 11). */
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u

/** The number of terminal columns that a text takes. */
function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const { segment } of GRAPHEMES.segment(text)) width += WIDE.test(segment) ? 2 : 1
  return width
}
