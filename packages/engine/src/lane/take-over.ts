/** Taking over a partition: begins it and claims the pending entries of its last owner. */
import type { Logger } from '@eventflow/runtime'
import { begin, type PartitionDeps } from '../partition/begin.js'
import { type CatchUpDeps, findUnpublished } from '../partition/catch-up.js'
import { type Partition, type PartitionIn, restart } from '../partition/partition.js'
import type { LaneState, Work } from './lane-state.js'
import type { Reader } from './read.js'

export interface TakeOverDeps extends PartitionDeps, CatchUpDeps {
  log: Logger
}

export interface TakeOver {
  /** Begins a partition, or continues to. Drops it if the lease is lost. Rejects when Postgres or the feed fails. */
  begin(partition: Partition): Promise<void>
  /**
   * Takes over and processes the pending entries of a partition: those of its last owner, or those of this lane from
   * before an error.
   */
  claim(partition: PartitionIn<'stream'>): Promise<void>
}

/** Creates the functions that take over partitions. They process claimed events with `work`. */
export function createTakeOver(
  deps: TakeOverDeps,
  { partitions, release }: Pick<LaneState, 'partitions' | 'release'>,
  reader: Reader,
  work: Work,
): TakeOver {
  const { log } = deps

  async function beginPartition(partition: Partition): Promise<void> {
    // It may have been dropped while another partition was begun.
    if (partitions.get(partition.id) !== partition) return
    if (!(await begin(partition, deps))) {
      partitions.delete(partition.id)
      await release(partition.id)
    } else if (partition.state.source === 'stream') await claim(partition as PartitionIn<'stream'>)
    else if (partition.state.source === 'postgres')
      log.debug({ partition: partition.id, reason: partition.state.reason }, 'catching up from Postgres')
  }

  async function claim(partition: PartitionIn<'stream'>): Promise<void> {
    const hasLeft = () => (partition as Partition).state.source !== 'stream'
    for await (const claimed of reader.claim(partition)) {
      await work(await reader.unpackEntries(claimed))
      if (hasLeft()) return
    }
    if (!reader.isUnbroken(partition)) return restart(partition, 'interrupted')
    if (partition.suspects > 0) await workOnOtherSuspects(partition)
    if (!hasLeft()) partition.suspects = 0
  }

  /**
   * Processes the suspects that are in no pending entry: events that are blocked or were never published. They may have
   * crashed the last owners, too.
   */
  async function workOnOtherSuspects(partition: PartitionIn<'stream'>): Promise<void> {
    await work(partition.state.memory.keys.takeDue(performance.now()))
    if ((partition as Partition).state.source !== 'stream') return
    const { deliveries } = await findUnpublished([partition], deps)
    await work(deliveries)
  }

  return { begin: beginPartition, claim }
}
