/** The conversion into tables in parts: what interrupts and delays it, and when the contraction may come. */
import {
  connect,
  contract,
  type Db,
  finishExpansion,
  forgetFigures,
  heartbeat,
  migrate,
  readStage,
  tellFigures,
} from '@eventflow/db'
import {
  administer,
  adminUrlOf,
  createEarlierDatabase,
  type EarlierDatabase,
  type Former,
  insertAsBeforeParts,
  migrateAsBeforeParts,
  newEvent,
  PRESENT_FIGURES,
  until,
} from '@eventflow/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

let earlier: EarlierDatabase
let url: string
let old: Db
let db: Db
let former: Former[]

beforeEach(async () => {
  earlier = await createEarlierDatabase()
  ;({ url, old, db, former } = earlier)
})

afterEach(() => earlier.end())

/** Every stored event has one id, and each id its event. */
async function expectIdsOfAll(): Promise<void> {
  const { ids, events, pairs } = await earlier.countIds()
  expect({ events, pairs }).toEqual({ events: ids, pairs: ids })
}

describe('an interrupted expansion', () => {
  beforeEach(() => migrate(url, { partitions: 4 }))

  const interrupt = () => {
    const killed = connect({ url: adminUrlOf(url), applicationName: 'test', max: 1, onIdleError: () => {} })
    return killed
      .query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'eventflow-upkeep'`,
      )
      .finally(() => killed.end())
  }

  test('continues where it stopped', async () => {
    const copied: string[] = []
    let killing: Promise<unknown> | undefined
    const onProgress = (message: string) => {
      copied.push(message)
      if (message.startsWith('copying') && copied.filter((m) => m.startsWith('copying')).length === 3)
        killing = interrupt()
    }
    await expect(finishExpansion(url, { batch: 5, onProgress })).rejects.toThrow()
    await killing
    const done = await earlier.count('event_ids_1')
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(former.length)
    const again: string[] = []
    await finishExpansion(url, { batch: 5, onProgress: (message) => again.push(message) })
    expect(again).not.toContain('building the index raw_events_by_seq')
    expect(again.some((message) => message.startsWith('copying the ids of events: 5 of'))).toBe(false)
    await expectIdsOfAll()
    expect(await earlier.count(`event_ids WHERE bucket = 1`)).toBe(former.length)
  })

  test('builds an index again whose build was interrupted', async () => {
    const invalid = `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'processed_events_by_seq'::regclass`
    await administer(`CREATE UNIQUE INDEX processed_events_by_seq ON processed_events (seq); ${invalid}`, url)
    await finishExpansion(url)
    expect(await earlier.count(`pg_index WHERE NOT indisvalid`)).toBe(0)
    await earlier.contractAlone()
  })

  test('is done by one process, and the others wait for it', async () => {
    const messages: string[] = []
    await Promise.all(
      Array.from({ length: 3 }, () => finishExpansion(url, { batch: 5, onProgress: (m) => messages.push(m) })),
    )
    expect(messages.filter((message) => message === 'building the index of the ids')).toHaveLength(1)
    expect(messages.some((message) => message.startsWith('another process prepares the tables'))).toBe(true)
    await expectIdsOfAll()
  })
})

describe('the contraction', () => {
  const contractOnce = (silentSeconds = 60) => contract(url, { partEvents: 1_000, silentSeconds })
  const sinceLong = () => administer(`UPDATE ledger SET expanded_at = now() - interval '1 day'`, url)

  test('comes after the expansion', async () => {
    await migrate(url, { partitions: 4 })
    await tellFigures(db, PRESENT_FIGURES)
    expect(await contractOnce(0.001)).toBe(false)
    expect(await readStage(db)).toBe('expanding')
  })

  test('waits until no process of the earlier version tells figures', async () => {
    await earlier.expand()
    await sinceLong()
    await db.query(
      `INSERT INTO process_figures (process, service, run, figures) VALUES ('earlier', 'worker', 'r', '{}')`,
    )
    await tellFigures(db, PRESENT_FIGURES)
    expect(await contractOnce(1)).toBe(false)
    await forgetFigures(db, 'earlier')
    await earlier.contractAlone()
  })

  test('waits until the figures have shown all processes', async () => {
    await earlier.expand()
    await tellFigures(db, PRESENT_FIGURES)
    expect(await contractOnce()).toBe(false)
  })

  test('waits for a worker that lives but tells nothing', async () => {
    await earlier.expand()
    await sinceLong()
    const worker = { id: 'worker', host: 'here', pid: 1, run: 'run', leaseMs: 60_000 }
    await heartbeat(db, worker, { takeOver: true })
    await tellFigures(db, PRESENT_FIGURES)
    expect(await contractOnce(1)).toBe(false)
    await tellFigures(db, { ...PRESENT_FIGURES, process: 'worker', service: 'worker' })
    await until('the tables are in parts', async () => {
      await tellFigures(db, PRESENT_FIGURES)
      await tellFigures(db, { ...PRESENT_FIGURES, process: 'worker', service: 'worker' })
      return contractOnce(1)
    })
  })

  test('is only delayed by a dump, and holds up no event', async () => {
    await earlier.expand()
    await sinceLong()
    const dump = connect({ url, applicationName: 'pg_dump', max: 1, onIdleError: () => {} })
    await dump.query('BEGIN; LOCK TABLE processed_events IN ACCESS SHARE MODE')
    const contracting = (async () => {
      await tellFigures(db, PRESENT_FIGURES)
      return contractOnce(1)
    })()
    expect(await insertAsBeforeParts(old, [newEvent()])).toHaveLength(1)
    expect(await contracting).toBe(false)
    expect(await readStage(db)).toBe('expanded')
    expect(await insertAsBeforeParts(old, [newEvent()])).toHaveLength(1)
    await dump.query('COMMIT')
    await dump.end()
    await earlier.contractAlone()
  })

  test('leaves a process of the earlier version, if one was overlooked, unable to store', async () => {
    await earlier.expand()
    await expect(migrateAsBeforeParts(url, 4)).rejects.toThrow('0014-ledger-in-parts')
    await insertAsBeforeParts(old, [newEvent()])
    await earlier.contractAlone()
    const [stored, lost] = [former[0]!, newEvent()]
    await expect(insertAsBeforeParts(old, [stored, lost])).rejects.toMatchObject({ code: '42P01' })
    const unprepared = connect({ url, applicationName: 'earlier', max: 1, onIdleError: () => {} })
    await expect(insertAsBeforeParts(unprepared, [stored, lost])).rejects.toMatchObject({ code: '42P01' })
    await unprepared.end()
    expect(await earlier.count('raw_events')).toBe(former.length + 1)
  })

  test('leaves what other roles may do with the tables, and views on them', async () => {
    const role = `reader_${new URL(url).pathname.slice(1)}`
    await administer(
      `CREATE ROLE ${role}; GRANT SELECT ON raw_events TO ${role}; GRANT SELECT (seq, type) ON processed_events TO ${role};
       CREATE VIEW failures AS SELECT * FROM events WHERE status = 'failed'`,
      url,
    )
    await earlier.expand()
    await earlier.contractAlone()
    const { rows } = await db.query(
      `SELECT has_table_privilege($1, 'raw_events', 'SELECT') AS "table",
              has_column_privilege($1, 'processed_events', 'type', 'SELECT') AS "column",
              has_column_privilege($1, 'processed_events', 'payload', 'SELECT') AS "other"`,
      [role],
    )
    expect(rows).toEqual([{ table: true, column: true, other: false }])
    await administer('GRANT SELECT ON failures TO PUBLIC', url)
    expect(await earlier.count('failures')).toBe(former.filter(({ state }) => state === 'failed').length)
  })
})
