/** What windows and joins read beside the events of the log: its marks, and event time as it was committed. */
import { type Cursor, type Db, type Generation, type GroupPage, readGroupTimes, readMarks } from '@eventflow/db'
import { deliveriesWithMarks, type LogDelivery } from './delivery.js'
import type { GroupPartition, PartitionState } from './group-partition.js'

/** Event time as it was committed. What it has passed may not have ended before the last owner went. */
export async function loadTimes(
  db: Db,
  generation: Generation,
  cursors: readonly Pick<Cursor, 'partition'>[],
  partitions: ReadonlyMap<number, GroupPartition>,
): Promise<void> {
  const ids = cursors.map(({ partition }) => partition)
  for (const { partition, tenantId, ...time } of await readGroupTimes(db, generation, ids)) {
    const { times, passed } = partitions.get(partition)!.state
    times.set(tenantId, time)
    if (time.at !== undefined) passed.set(tenantId, time.at)
  }
}

/** Adds the marks to pages that were just read of these partitions. `reached` is as far as the result goes. */
export async function addMarks(
  db: Db,
  partitions: readonly GroupPartition[],
  read: readonly GroupPage[],
): Promise<{ deliveries: LogDelivery[]; reached: number }[]> {
  const pages = partitions.map(({ read: after, state: { silentUntil } }, i) => {
    const page = read[i]!
    // What ends up to there must have ended before later entries are read.
    return after < silentUntil && page.reached > silentUntil ? { ...cut(page, silentUntil), more: true } : page
  })
  const marked = await readMarks(
    db,
    partitions.map(({ lease: { partition }, read: after }, i) => ({ partition, after, ...pages[i]! })),
  )
  return partitions.map(({ state }, i) => {
    const { marks, reached, more } = marked[i]!
    const page = cut(pages[i]!, more ? reached : Math.max(reached, state.silentUntil))
    const [deliveries, behind] = deliveriesWithMarks(page, marks)
    state.marks.push(...behind)
    return { deliveries: deliveries.map((one) => asSuspect(one, state.suspectRows)), reached: page.reached }
  })
}

/** The page as far as a position. */
function cut(page: GroupPage, reached: number): GroupPage {
  return { ...page, entries: page.entries.filter(({ position }) => position <= reached), reached }
}

/** Adds the attempts that a row records to an event of the log. */
function asSuspect(delivery: LogDelivery, rows: PartitionState['suspectRows']): LogDelivery {
  const row = rows.get(delivery.event.seq)
  if (!row) return delivery
  rows.delete(delivery.event.seq)
  const { attempts, history, crashes } = row
  return { ...delivery, attempts, history, crashes, inRetries: true }
}
