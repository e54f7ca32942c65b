/**
 * Requests to a lane to drop partitions. The lane carries them out between two batches, when none of their events is
 * being processed.
 */
import type { Epoch } from '@eventflow/db'
import { type Partition, restart } from '../partition/partition.js'

export interface Drops {
  /** Asks for a partition to be dropped. Resolves when it is, and its feed released; nothing where it is not held under this lease. */
  ask(lease: Epoch): Promise<void> | undefined
  /** Drops all requested partitions. */
  carryOut(): void
}

interface Drop {
  done: Promise<void>
  resolve: () => void
}

function newDrop(): Drop {
  let resolve = () => {}
  const done = new Promise<void>((settle) => {
    resolve = settle
  })
  return { done, resolve }
}

/** `release` releases the feed of a partition that the lane no longer works on; it never rejects. */
export function createDrops(partitions: Map<number, Partition>, release: (id: number) => Promise<void>): Drops {
  const asked = new Map<Partition, Drop>()
  return {
    ask(lease) {
      const partition = partitions.get(lease.partition)
      if (partition?.epoch !== lease.epoch) return undefined
      const drop = asked.get(partition) ?? newDrop()
      asked.set(partition, drop)
      return drop.done
    },
    carryOut() {
      for (const [partition, { resolve }] of asked) {
        restart(partition)
        // Meanwhile the lane may have lost the partition and taken it again under a new lease.
        if (partitions.get(partition.id) !== partition) {
          resolve()
          continue
        }
        partitions.delete(partition.id)
        void release(partition.id).then(resolve)
      }
      asked.clear()
    },
  }
}
