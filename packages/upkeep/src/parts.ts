/**
 * Makes parts of the ledger ahead of the events. Every process does: ingest must accept events without any worker. The
 * tables of an installation from before the parts are converted first.
 */
import {
  contract,
  type Db,
  MIN_PART_EVENTS,
  makeAhead,
  mayContract,
  neededAhead,
  type Reach,
  readReach,
  recordOpened,
  type Width,
} from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'

const EVERY_MS = 1_000

/** Parts are made for what may arrive within this many milliseconds, at the rate since the last round. */
const FORESIGHT_MS = 30_000

export interface MakingParts {
  db: Db
  /** The address of the database, for a connection with the rights of the tables' owner. */
  url: string
  width: Width
  /** For how many rounds parts may be missing before this process makes them: another one may do it better. */
  patience: number
  log: Logger
}

/** Makes parts until stopped. Errors are logged, and the next round tries again. */
export function startMakingParts({ db, url, width, patience, log }: MakingParts): { stop(): Promise<void> } {
  let before: { seq: number; at: number } | undefined
  /** For how many rounds parts have been missing. */
  let missing = 0

  async function round(): Promise<void> {
    const reach = await readReach(db)
    if (!reach) return convert()
    const needed = neededAhead(reach, width, arrivingAfter(reach))
    before = { seq: reach.lastSeq, at: performance.now() }
    missing = reach.ahead < needed ? missing + 1 : 0
    if (missing > patience) {
      const made = await makeAhead(url, reach, width, needed)
      if (made > 0) log.info({ made, ahead: reach.ahead + made }, 'parts of the ledger made')
    }
    if (reach.newlyOpened) await recordOpened(db)
  }

  async function convert(): Promise<void> {
    if (!(await mayContract(db))) return
    const partEvents = width.partEvents || MIN_PART_EVENTS
    if (await contract(url, { partEvents })) log.info('the tables of the ledger are now in parts')
  }

  function arrivingAfter({ lastSeq }: Reach): number {
    return before ? ((lastSeq - before.seq) / (performance.now() - before.at)) * FORESIGHT_MS : 0
  }

  return repeat(round, {
    pauseMs: EVERY_MS,
    onError: (err) => log.warn({ err }, 'making parts of the ledger failed; the next round tries again'),
  })
}
