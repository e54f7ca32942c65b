/**
 * Computes from the log what a join must have found, by its definition: each event in time is compared with each other
 * one of its key. It shares no code with the engine.
 */
import type { JoinSpec } from './fault-joins.js'
import { type Late, type Log, passLog, type Time } from './log-time.js'
import type { WaitingRow, WindowEntry } from './window-rows.js'

/** A pair, or an event alone. */
export interface Joined {
  left: WindowEntry | undefined
  right: WindowEntry | undefined
}

export interface ExpectedOfJoin {
  joined: Joined[]
  waiting: WaitingRow[]
  late: Late[]
  times: Map<number, Time>
}

/** An event on one of its sides. */
interface Sided {
  entry: WindowEntry
  /** The events of the other side that it belongs to, by the definition alone. */
  partners: WindowEntry[]
  /** The last moment at which something that is not late may change what becomes of it; undefined if it always may. */
  until: bigint | undefined
}

export function expectedOfJoin(spec: JoinSpec, log: Log): ExpectedOfJoin {
  const late: Late[] = []
  const byKey = new Map<string, WindowEntry[]>()
  const times = passLog(spec, log, (entry, watermark) => {
    if (watermark !== undefined && entry.occurred < watermark) late.push({ entry, watermark })
    else {
      const key = `${entry.partition} ${entry.key}`
      const others = byKey.get(key)
      if (others) others.push(entry)
      else byKey.set(key, [entry])
    }
  })
  const expected: ExpectedOfJoin = { joined: [], waiting: [], late, times }
  for (const ofKey of byKey.values()) {
    ofKey.sort((a, b) => (isBefore(a, b) ? -1 : 1))
    const { partition } = ofKey[0]!
    addKey(expected, spec, ofKey, times.get(partition)!.watermark)
  }
  return expected
}

function addKey(
  { joined, waiting }: ExpectedOfJoin,
  spec: JoinSpec,
  ofKey: readonly WindowEntry[],
  watermark: bigint | undefined,
): void {
  const lefts = ofKey.filter(({ type }) => type === spec.left)
  const rights = ofKey.filter(({ type }) => type === spec.right)
  const isOver = ({ until }: Sided) => until !== undefined && watermark !== undefined && watermark > until
  const sided = {
    left: lefts.map((left): Sided => ({ entry: left, partners: [], until: endOfLeft(left, lefts, spec) })),
    right: rights.map((right): Sided => ({ entry: right, partners: [], until: endOfRight(right, spec) })),
  }
  for (const right of sided.right) {
    // A right event that has one match only is joined when that is certain.
    if (spec.match === 'latest' && !isOver(right)) continue
    for (const left of partnersOf(right.entry, sided.left, spec)) {
      joined.push({ left: left.entry, right: right.entry })
      left.partners.push(right.entry)
      right.partners.push(left.entry)
    }
  }
  for (const side of ['left', 'right'] as const) {
    for (const one of sided[side]) {
      const { entry, partners, until } = one
      if (!isOver(one)) waiting.push(rowOf(entry, side, { until, matched: partners.length > 0 }))
      else if (partners.length === 0 && spec.alone.includes(side)) {
        joined.push({ left: undefined, right: undefined, [side]: entry })
      }
    }
  }
}

function partnersOf(right: WindowEntry, lefts: readonly Sided[], { match }: JoinSpec): Sided[] {
  const others = lefts.filter(({ entry }) => entry.seq !== right.seq)
  if (match === 'latest') return others.filter(({ entry }) => entry.occurred <= right.occurred).slice(-1)
  return others.filter(({ entry: left }) => {
    const behind = right.occurred - left.occurred
    return -match.before <= behind && behind <= match.after
  })
}

/** The next left event takes the place of the latest one. */
function endOfLeft(left: WindowEntry, lefts: readonly WindowEntry[], { match }: JoinSpec): bigint | undefined {
  if (match !== 'latest') return left.occurred + match.after
  return lefts.find((other) => isBefore(left, other))?.occurred
}

const endOfRight = (right: WindowEntry, { match }: JoinSpec) =>
  match === 'latest' ? right.occurred : right.occurred + match.before

const isBefore = (a: WindowEntry, b: WindowEntry) =>
  a.occurred < b.occurred || (a.occurred === b.occurred && a.seq < b.seq)

/** The highest bigint of Postgres. */
const NEVER = 2n ** 63n - 1n

function rowOf(
  { partition, key, occurred, seq }: WindowEntry,
  side: WaitingRow['side'],
  { until, matched }: { until: bigint | undefined; matched: boolean },
): WaitingRow {
  return { partition, key, side, at: occurred, seq, expiresAt: until === undefined ? NEVER : until + 1n, matched }
}
