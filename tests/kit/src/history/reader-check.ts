/** Checks what windows and joins have in common: how they have read the log, event time, and late events. */
import { createHash } from 'node:crypto'
import type { Late, Time } from './log-time.js'
import type { Findings } from './verdict.js'
import type { LogHistory } from './window-rows.js'

type What = 'window' | 'join'

/** It has read the whole log. */
export function checkRead(findings: Findings, { name, entries, cursors }: LogHistory): void {
  const ends = new Map(cursors.map(({ partition, position }) => [partition, position]))
  const unread = entries.filter(({ partition, position }) => position > (ends.get(partition) ?? 0))
  if (unread.length > 0) findings.add('leftover', () => `${name} has not read ${unread.length} entries of the log`)
}

/** Event time is where the entries and the marks of the log lead to. */
export function checkTimes(
  findings: Findings,
  what: What,
  { name, times }: LogHistory,
  expected: ReadonlyMap<number, Time>,
): void {
  const found = new Map(times.map((row) => [row.partition, row]))
  for (const partition of new Set([...found.keys(), ...expected.keys()])) {
    const [is, should] = [found.get(partition), expected.get(partition)]
    if (is?.watermark === should?.watermark && is?.hold === should?.hold) continue
    const words = `is at ${timeOf(is?.watermark)}, held at ${timeOf(is?.hold)}`
    const better = `${timeOf(should?.watermark)}, held at ${timeOf(should?.hold)}`
    findings.add(`${what} watermark`, () => `${name} ${words} in partition ${partition}; by the log at ${better}`)
  }
}

/** Late events are in the log as such. `as`: what becomes of them. */
export function checkLate(
  findings: Findings,
  what: What,
  { name, late, letters, cursors, as }: LogHistory & { as: 'row' | 'dead letter' },
  expected: readonly Late[],
): void {
  const rows = new Map<number, bigint | undefined>(
    as === 'row' ? late.map(({ seq, watermark }) => [seq, watermark]) : letters.map(({ seq }) => [seq, undefined]),
  )
  for (const { entry, watermark } of expected) {
    const isKnown = rows.has(entry.seq)
    const met = rows.get(entry.seq)
    rows.delete(entry.seq)
    const event = `${entry.id} of ${timeOf(entry.occurred)} (key ${entry.key}) is late in ${name}`
    if (!isKnown) findings.add(`${what} late event lost`, () => `${event}, and there is no ${as} of it`)
    else if (met !== undefined && met !== watermark) {
      findings.add(
        `${what} late event wrong`,
        () => `${event}, by the row at ${timeOf(met)}; by the log at ${timeOf(watermark)}`,
      )
    }
  }
  const began = Math.max(...cursors.map((cursor) => cursor.began))
  for (const seq of rows.keys()) {
    // Dead letters of a former generation stay.
    if (as !== 'row' && began > 0) continue
    findings.add(`${what} late event wrong`, () => `${name} has a ${as} of seq ${seq}, which was not late`)
  }
  const wrong = as === 'row' ? letters : letters.filter(({ message }) => !message.startsWith('LateEvent'))
  for (const { seq, message } of wrong) {
    findings.add(`${what} dead for no reason`, () => `seq ${seq} is dead in ${name}: ${message}`)
  }
}

/** UUIDv5, in the namespace of event ids. */
export function uuid(...parts: string[]): string {
  const namespace = Buffer.from('1fa1ea20aeca574d8bc60e9b989e2074', 'hex')
  const bytes = createHash('sha1').update(namespace).update(parts.join('\0')).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x50
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** A time as people read it, to the microsecond. */
export function timeOf(micros: bigint | undefined): string {
  if (micros === undefined) return 'no time'
  const text = new Date(Number(micros / 1_000n)).toISOString()
  return `${text.slice(0, -1)}${String(micros % 1_000n).padStart(3, '0')}Z`
}
