/** Writes the result of a statement as it arrives: as a table, as JSON, or as CSV. */
import { printable } from '@eventflow/core'
import type { SqlColumn, SqlReceiver, SqlRow } from '@eventflow/db'
import { createAligned, expanded } from './layout.js'
import type { Sink } from './sink.js'

/** The most rows, and characters in them, that are buffered to align their columns. */
const HELD_ROWS = 500
const HELD_CHARACTERS = 1_000_000

export interface ResultWriter extends SqlReceiver {
  /** The result is complete; `tag` is the command tag of Postgres. */
  end(tag: string): void
}

/**
 * Writes tables for people. `width` is that of the terminal; `isExpanded` shows one value a line, `auto` only if a line
 * would be too wide.
 */
export function tableWriter(
  sink: Sink,
  { width, isExpanded }: { width: number; isExpanded: boolean | 'auto' },
): ResultWriter {
  let columns: SqlColumn[] | undefined
  let aligned: ReturnType<typeof createAligned> | undefined
  let [held, characters, shown]: [SqlRow[], number, number] = [[], 0, 0]
  let isWide = isExpanded === true

  function flush(): Promise<void> | undefined {
    const lines: string[] = []
    const isFirst = shown === 0
    const wide = aligned!.measure(held) > width
    if (isFirst && isExpanded === 'auto') isWide = wide
    if (isWide) lines.push(...expanded(columns!, held, shown + 1, width))
    else lines.push(...(isFirst ? aligned!.heading() : []), ...aligned!.rows(held))
    shown += held.length
    held = []
    characters = 0
    return sink.write(lines.map((line) => `${line}\n`).join(''))
  }

  return {
    columns(given) {
      columns = given
      aligned = createAligned(given)
    },
    row(row) {
      held.push(row)
      for (const value of row) characters += value?.length ?? 0
      return held.length < HELD_ROWS && characters < HELD_CHARACTERS ? undefined : flush()
    },
    end(tag) {
      if (!columns) return void sink.write(`${printable(tag)}\n`)
      if (held.length > 0 || shown === 0) void flush()
      void sink.write(`(${shown} ${shown === 1 ? 'row' : 'rows'})\n`)
    },
  }
}

/** Writes one array of objects. */
export function jsonWriter(sink: Sink): ResultWriter {
  let columns: SqlColumn[] = []
  let count = 0
  return {
    columns(given) {
      columns = given
    },
    row(row) {
      const members = row.map(
        (value, n) => `${JSON.stringify(columns[n]!.name)}:${value === null ? 'null' : columns[n]!.toJson(value)}`,
      )
      return sink.write(`${count++ === 0 ? '[' : ',\n'}${printable(`{${members.join(',')}}`)}`)
    },
    end: () => void sink.write(count === 0 ? '[]\n' : ']\n'),
  }
}

/**
 * Writes RFC 4180 with line feeds: NULL is empty, and an empty text is quoted. `isForPeople` removes terminal controls.
 */
export function csvWriter(sink: Sink, isForPeople: boolean): ResultWriter {
  const line = (cells: SqlRow) => {
    const text = `${cells.map(csvCell).join(',')}\n`
    return sink.write(isForPeople ? printable(text) : text)
  }
  return {
    columns: (columns) => void (columns.length > 0 && line(columns.map(({ name }) => name))),
    row: line,
    end: () => {},
  }
}

function csvCell(value: string | null): string {
  if (value === null) return ''
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}
