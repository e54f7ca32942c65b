/**
 * Crash points: the moments of an event's path at which a process may die, recognized by the traffic on its
 * connections. The link kills it there, so the product contains no code for it.
 */
import { GROUPS_APPLICATION, WORKER_APPLICATION } from '@eventflow/db'
import { until } from '../until.js'
import type { Evidence, Tripwire } from './link.js'
import type { Program } from './program.js'
import type { Stack } from './stack.js'

export interface CrashPoint extends Omit<Tripwire, 'spring'> {
  to: 'postgres' | 'redis'
}

/**
 * Postgres is ready for the next query: outside of a transaction, so that everything before is committed; or inside of
 * one.
 */
const COMMITTED = 'Z\0\0\0\x05I'
const INSIDE = 'Z\0\0\0\x05T'

/** An event in an entry of a stream. */
const ENTRY = '"id":"'

/** The reply to a claim that returned entries: a cursor, and a list that is not empty. */
const CLAIMED = /\*3\r\n\$\d+\r\n\d+-\d+\r\n\*[1-9]/

/** The reply to an acknowledgement: how many entries were deleted, and how many acknowledged. */
const ACKNOWLEDGED = /:\d+\r\n:\d+\r\n/

const insertOfEvents = { to: 'postgres', text: 'insert-raw-events' } as const
const publication = { to: 'redis', text: 'xadd' } as const
const insertOfProcessed = { to: 'postgres', text: 'insert-processed' } as const
const acknowledgement = { to: 'redis', text: 'xack' } as const

export const INGEST_CRASH_POINTS = {
  'before the INSERT reaches Postgres': { ...insertOfEvents, at: 'request' },
  'the INSERT is committed, its answer on the way': { ...insertOfEvents, at: 'reply', reply: COMMITTED },
  'before the XADD reaches Redis': { ...publication, at: 'request' },
  'the XADD is done, its answer on the way': { ...publication, at: 'reply' },
  'before the mark reaches Postgres': { to: 'postgres', text: 'mark-dirty', at: 'request' },
} as const satisfies Record<string, CrashPoint>

export const WORKER_CRASH_POINTS = {
  'entries are delivered, and on the way': { to: 'redis', text: 'XREADGROUP', at: 'reply', reply: ENTRY },
  'entries in hand, before the BEGIN': { to: 'postgres', opened: WORKER_APPLICATION, text: 'BEGIN', at: 'request' },
  'inside the transaction, after the INSERT': { ...insertOfProcessed, at: 'reply', reply: INSIDE },
  'before the COMMIT reaches Postgres': { to: 'postgres', text: 'COMMIT', after: 'insert-processed', at: 'request' },
  'committed, the answer on the way': {
    ...{ to: 'postgres', text: 'COMMIT', after: 'insert-processed', at: 'reply', reply: COMMITTED },
  },
  'before the acknowledgement reaches Redis': { ...acknowledgement, at: 'request' },
  'acknowledged, the answer on the way': { ...acknowledgement, at: 'reply', reply: ACKNOWLEDGED },
  'entries are claimed, and on the way': { to: 'redis', text: 'xautoclaim', at: 'reply', reply: CLAIMED },
  'a suspect is recorded': { to: 'postgres', text: 'record-suspects', at: 'reply', reply: COMMITTED },
} as const satisfies Record<string, CrashPoint>

const commitOfGroup = { to: 'postgres', text: 'COMMIT', after: 'INTO group_effects' } as const

/** Of a worker that reads the log for consumer groups. */
export const GROUP_CRASH_POINTS = {
  'the cursor is moved, inside the transaction': { to: 'postgres', text: 'move-cursors', at: 'reply', reply: INSIDE },
  'before the COMMIT of a group reaches Postgres': { ...commitOfGroup, at: 'request' },
  'a group has committed, the answer on the way': { ...commitOfGroup, at: 'reply', reply: COMMITTED },
  'events are parked, the answer on the way': {
    ...{ to: 'postgres', text: 'COMMIT', after: 'park-events', at: 'reply', reply: COMMITTED },
  },
  'events are emitted, before the XADD reaches Redis': { ...publication, at: 'request' },
  'the XADD of emitted events is done, its answer on the way': { ...publication, at: 'reply' },
  'before the mark of the next owner reaches Postgres': { to: 'postgres', text: 'mark-dirty', at: 'request' },
} as const satisfies Record<string, CrashPoint>

const commitOfFold = { to: 'postgres', text: 'COMMIT', after: 'write-panes' } as const
const commitOfClose = { to: 'postgres', text: 'COMMIT', after: 'insert-window-results' } as const

/** Of a worker that reads the log for windows. */
export const WINDOW_CRASH_POINTS = {
  'before the COMMIT of counted events reaches Postgres': { ...commitOfFold, at: 'request' },
  'counted events are committed, the answer on the way': { ...commitOfFold, at: 'reply', reply: COMMITTED },
  'before the COMMIT of closed windows reaches Postgres': { ...commitOfClose, at: 'request' },
  'closed windows are committed, the answer on the way': { ...commitOfClose, at: 'reply', reply: COMMITTED },
  'results are emitted, before the XADD reaches Redis': { to: 'redis', text: 'fault.windowed', at: 'request' },
} as const satisfies Record<string, CrashPoint>

const commitOfJoin = { to: 'postgres', text: 'COMMIT', after: 'insert-waiting' } as const
/** Only what has waited is emitted alone. */
const commitOfAlone = { to: 'postgres', opened: GROUPS_APPLICATION, text: 'COMMIT', after: '"right":null' } as const

/** Of a worker that reads the log for joins. */
export const JOIN_CRASH_POINTS = {
  'before the COMMIT of joined events reaches Postgres': { ...commitOfJoin, at: 'request' },
  'joined events are committed, the answer on the way': { ...commitOfJoin, at: 'reply', reply: COMMITTED },
  'before the COMMIT of an event alone reaches Postgres': { ...commitOfAlone, at: 'request' },
  'an event alone is committed, the answer on the way': { ...commitOfAlone, at: 'reply', reply: COMMITTED },
  'pairs are emitted, before the XADD reaches Redis': { to: 'redis', text: 'fault.joined-', at: 'request' },
} as const satisfies Record<string, CrashPoint>

/**
 * Kills the program with SIGKILL when it reaches the point; it stays down. Returns the traffic up to that point, and
 * how it ended.
 */
export async function crashAt(
  point: CrashPoint,
  program: Program,
  { links }: Stack,
  timeoutMs?: number,
): Promise<Evidence & { how: string }> {
  const { to, ...wire } = point
  const link = links.get(`${program.name} ${to}`)!
  let reached: { evidence: Evidence; ended: Promise<string> } | undefined
  link.tripwire = {
    ...wire,
    spring: (evidence) => {
      reached = { evidence, ended: program.end('SIGKILL') }
    },
  }
  const what = `${program.name} comes to the point: ${[wire.after, wire.text, wire.at].filter(Boolean).join(', ')}`
  const { evidence, ended } = await until(what, () => reached, timeoutMs)
  return { ...evidence, how: await ended }
}
