/** Checks whether partitions had one owner at a time, and only the owner settled their events. */
import type { OwnerRow, WriteRow } from './rows.js'
import type { Findings } from './verdict.js'

export interface OwnershipCheck {
  /** In the order in which they happened. */
  owner(row: OwnerRow): void
  /** In the order in which they happened. */
  write(row: WriteRow): void
}

export function createOwnershipCheck(findings: Findings): OwnershipCheck {
  const epochs = new Map<number, OwnerRow>()
  const written = new Map<number, WriteRow>()

  return {
    owner(row) {
      const before = epochs.get(row.partition)
      epochs.set(row.partition, row)
      if (!before || row.epoch > before.epoch) return
      const words = `from epoch ${before.epoch} (${before.owner}) to ${row.epoch} (${row.owner})`
      findings.add('epoch', () => `partition ${row.partition} went ${words}`)
    },

    write(row) {
      const { partition, worker, owner, epoch, stale } = row
      const before = written.get(partition)
      written.set(partition, row)
      const held = `partition ${partition} belonged to ${owner} in epoch ${epoch}`
      if (worker !== owner) findings.add('stale write', () => `${worker} settled, while ${held}`)
      else if (stale) findings.add('stale write', () => `${worker} settled, and ${held} no more at its COMMIT`)
      if (before && before.epoch > epoch) {
        findings.add('epoch', () => `partition ${partition} was written in epoch ${before.epoch} and later in ${epoch}`)
      }
    },
  }
}
