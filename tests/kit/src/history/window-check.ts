/**
 * Checks what a window of the fault tests has made of the log: every result, late event, open window, watermark and
 * emitted event, against what `window-model.ts` computes.
 */
import type { WindowSpec } from './fault-windows.js'
import { checkLate, checkRead, checkTimes, timeOf, uuid } from './reader-check.js'
import type { Findings } from './verdict.js'
import { type Expected, expectedOf } from './window-model.js'
import type { EmittedRow, ResultRow, StateRow, WindowHistory } from './window-rows.js'

/** `numberOf`: the number that the client has sent in an event. */
export function checkWindow(
  findings: Findings,
  spec: WindowSpec,
  history: WindowHistory,
  numberOf: (id: string) => number,
): void {
  const expected = expectedOf(spec, history, numberOf)
  checkRead(findings, history)
  checkTimes(findings, 'window', history, expected.times)
  checkResults(findings, history, expected)
  checkOpen(findings, spec, history, expected)
  checkLate(findings, 'window', { ...history, as: spec.late }, expected.late)
  checkPlaces(findings, spec, history)
  if (spec.emits) checkEmitted(findings, history)
}

const idOf = ({ partition, key, start }: Pick<ResultRow, 'partition' | 'key' | 'start'>) =>
  `${partition} ${start} ${key}`

const isSame = (a: ResultRow, b: ResultRow) => a.end === b.end && a.count === b.count && a.sum === b.sum

function checkResults(findings: Findings, { name, results, state }: WindowHistory, { closed }: Expected): void {
  const found = new Map(results.map((row) => [idOf(row), row]))
  const open = new Set(state.map(idOf))
  for (const should of closed) {
    const is = found.get(idOf(should))
    found.delete(idOf(should))
    if (!is) {
      const words = open.has(idOf(should)) ? 'is not closed' : 'has no result'
      findings.add(
        'window result lost',
        () => `${titleOf(name, should)} ${words}; by the log it has ${contentOf(should)}`,
      )
    } else if (!isSame(is, should)) {
      findings.add(
        'window result wrong',
        () => `${titleOf(name, is)} has ${contentOf(is)}; by the log ${contentOf(should)}`,
      )
    }
  }
  for (const is of found.values()) {
    findings.add(
      'window result wrong',
      () => `${titleOf(name, is)} has ${contentOf(is)}; by the log there is no result`,
    )
  }
}

/** The open windows, as the rows of the state make them up. */
function checkOpen(findings: Findings, spec: WindowSpec, { name, state }: WindowHistory, expected: Expected): void {
  const byKey = new Map<string, StateRow[]>()
  for (const row of state) {
    const key = `${row.partition} ${row.key}`
    byKey.set(key, [...(byKey.get(key) ?? []), row])
  }
  const members = new Set<StateRow>()
  for (const should of expected.open) {
    const rows = (byKey.get(`${should.partition} ${should.key}`) ?? []).filter((row) => isPartOf(row, should, spec))
    for (const row of rows) members.add(row)
    const is = { ...should, count: 0, sum: 0, ...('gap' in spec.window && rows[0] && { end: rows[0].end }) }
    for (const { count, sum } of rows) {
      is.count += count
      is.sum += sum
    }
    if (isSame(is, should)) continue
    const words = `is open with ${contentOf(is)}; by the log ${contentOf(should)}`
    findings.add('window state wrong', () => `${titleOf(name, should)} ${words}`)
  }
  for (const row of state) {
    if (members.has(row)) continue
    findings.add(
      'window state wrong',
      () => `${titleOf(name, row)} is part of no open window, and has ${contentOf(row)}`,
    )
  }
}

function isPartOf(row: StateRow, { start, end }: ResultRow, { window }: WindowSpec): boolean {
  return 'gap' in window ? row.start === start : start <= row.start && row.start < end && row.firstOpen <= start
}

/** Each event of the log is in one window, or is a late event. Hopping windows share their events. */
function checkPlaces(
  findings: Findings,
  { window, late: as }: WindowSpec,
  { name, entries, results, state, late, letters, cursors }: WindowHistory,
): void {
  if ('size' in window && window.size !== window.every) return
  // Dead letters of a former generation stay.
  if (as !== 'row' && cursors.some(({ began }) => began > 0)) return
  const ends = new Map(cursors.map(({ partition, position }) => [partition, position]))
  const read = entries.filter(({ partition, position }) => position <= (ends.get(partition) ?? 0))
  const keys = new Map<string, { inLog: number; inWindows: number; late: number }>()
  const of = ({ partition, key }: { partition: number; key: string }) => {
    const id = `${key} in partition ${partition}`
    if (!keys.has(id)) keys.set(id, { inLog: 0, inWindows: 0, late: 0 })
    return keys.get(id)!
  }
  const isLate = new Set((as === 'row' ? late : letters).map(({ seq }) => seq))
  for (const entry of read) {
    of(entry).inLog++
    if (isLate.has(entry.seq)) of(entry).late++
  }
  for (const row of [...results, ...state]) of(row).inWindows += row.count
  for (const [key, { inLog, inWindows, late }] of keys) {
    if (inLog === inWindows + late) continue
    const words = `${inLog} events in the log, ${inWindows} in windows, and ${late} late ones`
    findings.add('window event misplaced', () => `${name} has of key ${key} ${words}`)
  }
}

/** Each result was emitted once, under the id that follows from it. */
function checkEmitted(findings: Findings, history: WindowHistory): void {
  const { name, results, emitted, tenantId, groupId, generation, isComplete } = history
  const found = new Map<string, EmittedRow[]>()
  for (const row of emitted) found.set(row.id, [...(found.get(row.id) ?? []), row])
  for (const result of results) {
    const rows: EmittedRow[] = []
    for (let made = 1; made <= generation; made++) {
      const id = uuid(tenantId, `group:${groupId}:${made}`, `window:${result.start}:${result.key}`)
      rows.push(...(found.get(id) ?? []))
      found.delete(id)
    }
    if (rows.length > 1) {
      findings.add('window emitted twice', () => `${titleOf(name, result)}: ${rows.map(({ id }) => id).join(', ')}`)
    }
    const [row] = rows
    if (!row && (generation === 1 || isComplete)) {
      findings.add('window emitted lost', () => `${titleOf(name, result)} has a result, which was not emitted`)
    }
    if (!row || (generation > 1 && !isComplete)) continue
    const { data, occurred, key } = row
    const isRight =
      occurred === result.end &&
      key === result.key &&
      (!data ||
        (data.key === key &&
          microsOf(data.start) === result.start &&
          microsOf(data.end) === result.end &&
          data.count === result.count &&
          data.sum === result.sum))
    if (!isRight) {
      const words = `was emitted as ${JSON.stringify(data)} of ${timeOf(occurred)} with key ${key}`
      findings.add('window emitted wrong', () => `${titleOf(name, result)} has ${contentOf(result)}, and ${words}`)
    }
  }
  for (const { id, isSettled } of emitted) {
    if (!isSettled) findings.add('unsettled', () => `${id}, emitted by ${name}, has reached no end`)
  }
  if (generation > 1 && !isComplete) return
  for (const [id, [row]] of found) {
    findings.add('window emitted wrong', () => `${name} has emitted ${id} with key ${row!.key}, and has no such result`)
  }
}

const titleOf = (name: string, { partition, key, start }: ResultRow) =>
  `the window of ${name} from ${timeOf(start)} with key ${key} (partition ${partition})`

const contentOf = ({ end, count, sum }: ResultRow) => `${count} events and the sum ${sum} up to ${timeOf(end)}`

function microsOf(text: string): bigint {
  const [, below = ''] = /\.(\d+)Z$/.exec(text) ?? []
  return BigInt(Date.parse(`${text.slice(0, 19)}Z`)) * 1_000n + BigInt(below.padEnd(6, '0'))
}
