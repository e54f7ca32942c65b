/** How far a standby is behind: it pairs positions of the primary's write-ahead log with the times they were read. */

/** The most positions that are kept. Beyond it every second one is dropped, so a long lag is measured less finely. */
const MAX_SAMPLES = 1_000

export interface ReplayClock {
  /**
   * The primary's log had reached `position` at some time after `at`. All of the times have one clock, in milliseconds.
   */
  sample(at: number, position: bigint): void
  /** The standby has replayed the log up to `position`. */
  replayed(position: bigint): void
  /**
   * How long ago the latest time is from which the standby is known to have every commit, in milliseconds; as long as
   * there is none, the time since the start.
   */
  lagMs(now: number): number
  /** Whether there is such a time. */
  isKnown(): boolean
}

/** Creates a clock that has seen nothing. */
export function createReplayClock(startedAt: number): ReplayClock {
  let samples: { at: number; position: bigint }[] = []
  let replayedAt: number | undefined
  return {
    sample(at, position) {
      // After a failover the log of the new primary may continue at a lower position.
      if (samples.some((earlier) => earlier.position > position)) samples = []
      samples.push({ at, position })
      if (samples.length > MAX_SAMPLES) samples = samples.filter((_, i) => (samples.length - i) % 2 === 1)
    },
    replayed(position) {
      const newest = samples.findLastIndex((sample) => sample.position <= position)
      if (newest < 0) return
      replayedAt = samples[newest]!.at
      samples.splice(0, newest)
    },
    lagMs: (now) => now - (replayedAt ?? startedAt),
    isKnown: () => replayedAt !== undefined,
  }
}
