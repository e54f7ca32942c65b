/** Suspects: the events of a partition that may be why its last owners died, and so are worked on alone. */
import { BATCH } from './work.js'

/** After so many crashes in a row the events themselves are suspects. One alone is a matter of machines and deployments. */
const SUSPICIOUS_CRASHES = 2

/** A batch has events of several partitions: most of the time no more than so many of one were in hand. */
const FIRST_SUSPECTS = BATCH / 8

/**
 * How many events of a partition go alone after `crashes` owners in a row have died. Each suspect costs a transaction, and two
 * crashes may still be chance; each further crash doubles the number, up to all that an owner can have had in hand.
 */
export function suspectsAfter(crashes: number): number {
  if (crashes < SUSPICIOUS_CRASHES) return 0
  return Math.min(BATCH, FIRST_SUSPECTS * 2 ** (crashes - SUSPICIOUS_CRASHES))
}
