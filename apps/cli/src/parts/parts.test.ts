/** Archived parts: what comes back is what was there, to the letter, and what is damaged does not come back. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import {
  connect,
  type Db,
  exportPart,
  forgetKept,
  insertRawEvents,
  makeAhead,
  migrate,
  type Retired,
  readBuckets,
  readReach,
  removeDeadLetters,
  retireParts,
  tidyBuckets,
  turnBucket,
} from '@eventflow/db'
import {
  createDatabase,
  newEvent,
  sessionsWaiting,
  turnEnds,
  until,
  whileCommitsHang,
  whileHeldUp,
} from '@eventflow/testkit'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { writeArchive } from './archive-files.js'
import { archive, restore, showParts } from './parts.js'

/** Json texts that a parser would change. */
const PAYLOADS = [
  '{"n": 12345678901234567890, "n": 1e400}',
  '{\n  "text": "\\u0000\\ud800 \\u00e9 é \u2028 \u2029 \\\\ \\"",\r\n  "tab": "\\t"}',
  '  {"a":1.10,"b":-0.0}',
  '{}',
  '{"five": 5}',
]

let empty: string
let url: string
let db: Db
let out: string

beforeAll(async () => {
  empty = await createDatabase({ migrated: false })
  await migrate(empty, { partitions: 2, partEvents: 5 })
})

beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'eventflow-archive-'))
  url = await createDatabase({ like: empty })
  db = connect({ url, applicationName: 'test', max: 4, onIdleError: () => {} })
  const payloads = [...PAYLOADS, '{}', '{}']
  await insertRawEvents(
    db,
    payloads.map((payload, n) => newEvent({ payload, partition: n % 2, extensions: { a: `${n}` } })),
  )
  await db.query(`UPDATE raw_events SET accepted_at = now() - interval '50 days 1.234567 s'`)
  await db.query(`
    INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, history, worker_id,
                                  correlation_id, accepted_at, processed_at, processing_ms, position)
    SELECT tenant_id, event_id, seq, type, key, partition, '{"b": 1.10, "a": [null, "\\n"]}', 2, '[{"attempt": 1}]', 'w',
           correlation_id, accepted_at, accepted_at + interval '0.000001 s', 0.1::real / 3, 7
    FROM raw_events WHERE seq <= 4`)
  await db.query(`
    INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
                               errors, component, worker_id, attempts, history, correlation_id, accepted_at, failed_at)
    SELECT tenant_id, event_id, seq, type, key, partition, payload, 'permanent', 'E', E'a\\n"b"', '[]', 'handle', 'w', 1, '[]',
           correlation_id, accepted_at, accepted_at FROM raw_events WHERE seq = 5`)
  await db.query('UPDATE partitions SET settled_seq = 7')
})

afterEach(async () => {
  await db.end()
  await rm(out, { recursive: true })
})

/** All rows of the first part, as Postgres writes them. */
async function rows(): Promise<string[]> {
  const found: string[] = []
  for (const table of ['raw_events', 'processed_events', 'failed_events']) {
    const { rows } = await db.query(`SELECT t::text AS row FROM ${table} t WHERE seq <= 5 ORDER BY seq`)
    found.push(...rows.map(({ row }) => `${table} ${row}`))
  }
  return found
}

/** Runs a command, and returns what it wrote. */
async function run(
  command: (options: { print: (text: string) => void; note: (text: string) => void }) => Promise<number>,
) {
  let [stdout, stderr] = ['', '']
  const print = (text: string) => {
    stdout += `${text}\n`
  }
  const note = (text: string) => {
    stderr += `${text}\n`
  }
  const code = await command({ print, note })
  return { code, stdout, stderr }
}

const archiveAll = () => run((options) => archive(url, { out, ...options }))
const restorePart = (folder = join(out, 'part-1')) =>
  run((options) => restore(url, { folder, keepDays: 3, ...options }))

/** Retention of everything older than a day. */
async function removeAll(): Promise<string[]> {
  const told: string[] = []
  const tell = (retired: Retired) => told.push(retired.what)
  await db.query('UPDATE ledger_parts SET looked_at = NULL')
  await removeDeadLetters(db, 1, { after: 0, limit: 100, archivedOnly: true })
  const stopping = new AbortController().signal
  await retireParts({ db, url }, { days: 1, archivedOnly: true }, { stopping, told: tell })
  return told
}

describe('an archived part', () => {
  test('comes back to the letter after it was dropped, and stays for some days', async () => {
    const before = await rows()
    expect(before).toHaveLength(10)
    expect(await removeAll()).toEqual([])
    expect(await archiveAll()).toMatchObject({
      code: 0,
      stdout: `${out}/part-1: seqs 1 to 5; raw_events 5, processed_events 4, failed_events 1\n`,
    })
    expect(await removeAll()).toEqual(['emptied', 'dropped'])
    expect(await rows()).toEqual([])

    expect(await restorePart()).toMatchObject({ code: 0, stdout: 'part 1: 5 events restored, 0 are there already\n' })
    expect(await rows()).toEqual(before)
    expect(await removeAll()).toEqual([])
    expect(await rows()).toEqual(before)
    const shown = await run((options) => showParts(url, options))
    expect(shown.stdout).toMatch(/^ +1 +1 +5 .* restored, kept until \d{4}-/m)

    await db.query(`UPDATE ledger_parts SET kept_until = now()`)
    expect(await removeAll()).toEqual(['emptied', 'dropped'])
  })

  test('has the events of an INSERT that was not committed yet when the part was full', async () => {
    let archiving: ReturnType<typeof run> | undefined
    await whileCommitsHang({ db, url }, 'INSERT ON raw_events', async () => {
      void insertRawEvents(db, [newEvent({ partition: 1 })])
      await until('it hangs', async () => {
        const { rows } = await db.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`,
        )
        return rows.length > 0
      })
      await db.query(`SELECT nextval('event_seq') FROM generate_series(9, 10)`)
      archiving = run((options) => archive(url, { out, part: 2, ...options }))
      await until('the archive waits', async () => (await sessionsWaiting(db)).length > 0)
    })
    expect(await archiving).toMatchObject({ code: 1, stderr: 'part 2 has events that are not settled yet\n' })
    await db.query('UPDATE partitions SET settled_seq = 8')
    const archived = await run((options) => archive(url, { out, part: 2, ...options }))
    expect(archived.stdout).toContain('raw_events 3')
  })

  test('fills what is missing in a part that exists, and changes nothing else', async () => {
    await archiveAll()
    const before = await rows()
    await db.query('DELETE FROM raw_events WHERE seq = 2; DELETE FROM processed_events WHERE seq = 2')
    await db.query(`UPDATE failed_events SET status = 'discarded', reason = 'later'`)
    expect(await restorePart()).toMatchObject({ code: 0, stdout: 'part 1: 1 events restored, 4 are there already\n' })
    expect((await rows()).slice(0, 9)).toEqual(before.slice(0, 9))
    expect((await rows())[9]).toContain('later')
  })

  test('comes back without the events that were not settled, or whose ids belong to others by now', async () => {
    await db.query('DELETE FROM processed_events WHERE seq = 1')
    await db.query(
      `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at) SELECT tenant_id, event_id, seq, partition, 1, now() FROM raw_events WHERE seq = 1`,
    )
    await archiveAll()
    await db.query(
      'DELETE FROM retries; DELETE FROM raw_events WHERE seq <= 5; DELETE FROM processed_events; DELETE FROM failed_events',
    )
    await db.query('UPDATE event_ids SET seq = 6 WHERE seq = 2')
    const { stdout } = await restorePart()
    expect(stdout.split('\n').slice(0, 3)).toEqual([
      'part 1: 3 events restored, 0 are there already',
      'left out, because they awaited a retry when the part was archived: 1',
      'left out, because later events have their ids: 1',
    ])
    expect((await rows()).filter((row) => row.startsWith('raw')).length).toBe(3)
  })

  test('is found by the ids of its events when their bucket is gone', async () => {
    await archiveAll()
    await removeAll()
    await db.query('DELETE FROM event_ids')
    await restorePart()
    const { rows: ids } = await db.query('SELECT seq FROM event_ids WHERE bucket = 0 ORDER BY seq')
    expect(ids.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5])
  })

  test('is found by the ids of its events when their bucket is about to be dropped', async () => {
    const turn = async () => turnBucket(url, (await readBuckets(db))!)
    await archiveAll()
    await turn()
    await turnEnds(db)
    await removeAll()
    await turn()
    await restorePart()
    await turnEnds(db)
    await tidyBuckets(url)
    expect(await forgetKept(db)).toBe(0)
    const { rows: ids } = await db.query('SELECT seq FROM event_ids WHERE seq <= 5 ORDER BY seq')
    expect(ids.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5])
  })

  test('does not keep other parts from being made while its ids come back', async () => {
    await archiveAll()
    await removeAll()
    const held = { db, url, table: 'event_ids_kept', statement: 'INSERT INTO event_ids' } as const
    const restored = await whileHeldUp(held, restorePart, async () => {
      const reach = (await readReach(db))!
      expect(await makeAhead(url, reach, { partEvents: 5, keptDays: 0 }, reach.ahead + 1)).toBe(1)
    })
    expect(restored).toMatchObject({ code: 0, stdout: 'part 1: 5 events restored, 0 are there already\n' })
  })

  test('is not overwritten', async () => {
    await archiveAll()
    expect(await run((options) => archive(url, { out, part: 1, ...options }))).toMatchObject({ code: 1, stdout: '' })
    expect(await archiveAll()).toMatchObject({ code: 0, stderr: 'no closed part is left to archive\n' })
  })
})

test('a part that still takes events, or does not exist, is not archived', async () => {
  for (const [part, message] of [
    [2, 'still takes new events'],
    [9, 'there is no part 9'],
  ] as const) {
    const { code, stderr } = await run((options) => archive(url, { out, part, ...options }))
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(message) })
  }
  expect(await readdir(out)).toEqual([])
})

test('a folder that cannot be written is named, and Postgres is not blamed', async () => {
  const file = join(out, 'file')
  await writeFile(file, '')
  expect(await run((options) => archive(url, { out: file, ...options }))).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining(`${file}/part-1 cannot be written: ENOTDIR`),
  })
  expect((await archiveAll()).code).toBe(0)
})

test('an archive that is interrupted leaves nothing that looks complete', async () => {
  const interrupted = exportPart(url, 1, (part) =>
    writeArchive(out, {
      ...part,
      async *rows(table) {
        yield* part.rows(table)
        if (table === 'processed_events') throw new Error('interrupted')
      },
    }),
  )
  await expect(interrupted).rejects.toThrow('interrupted')
  expect(await readdir(out)).toEqual([])
  // As a killed process leaves it.
  await mkdir(join(out, 'part-1.incomplete'))
  await writeFile(join(out, 'part-1.incomplete', 'raw_events.ndjson.gz'), 'half')
  expect((await restorePart(join(out, 'part-1.incomplete'))).code).toBe(1)
  expect((await archiveAll()).code).toBe(0)
  expect(await readdir(out)).toEqual(['part-1'])
})

describe('not restored is', () => {
  const raw = () => join(out, 'part-1', 'raw_events.ndjson.gz')
  const manifest = () => join(out, 'part-1', 'manifest.json')

  beforeEach(async () => {
    await archiveAll()
    await removeAll()
  })

  /** Changes the rows of the file and its checksum in the manifest. */
  async function changeRows(change: (text: string) => string) {
    const changed = gzipSync(change(gunzipSync(await readFile(raw())).toString()))
    await writeFile(raw(), changed)
    const told = JSON.parse(await readFile(manifest(), 'utf8'))
    told.tables.raw_events.sha256 = createHash('sha256').update(changed).digest('hex')
    await writeFile(manifest(), JSON.stringify(told))
  }

  test.each<[string, () => Promise<void>, string]>([
    [
      'a file with a changed byte',
      async () => {
        const bytes = await readFile(raw())
        bytes[bytes.length >> 1]! ^= 1
        await writeFile(raw(), bytes)
      },
      'raw_events.ndjson.gz is damaged',
    ],
    ['a missing file', () => rm(raw()), 'raw_events.ndjson.gz cannot be read'],
    ['a part without a manifest', () => rm(manifest()), 'manifest.json cannot be read'],
    ['a missing row', () => changeRows((text) => text.slice(text.indexOf('\n') + 1)), 'has 4 rows'],
    ['a line that is no JSON', () => changeRows((text) => text.replace(/\n\{/, '\n')), 'raw_events.ndjson.gz, line 2'],
    [
      'a value that does not fit',
      () => changeRows((text) => text.replace('"seq":"3"', '"seq":"x"')),
      'raw_events, line 3',
    ],
    ['an event of another part', () => changeRows((text) => text.replace('"seq":"3"', '"seq":"33"')), 'seq 33'],
    [
      'a part of another installation',
      async () => {
        const told = JSON.parse(await readFile(manifest(), 'utf8'))
        await writeFile(manifest(), JSON.stringify({ ...told, installation: '00000000-0000-4000-8000-000000000000' }))
      },
      'another installation',
    ],
  ])('%s', async (_, damage, message) => {
    await damage()
    const { code, stderr } = await restorePart()
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(message) })
    expect(await rows()).toEqual([])
    const { rows: parts } = await db.query('SELECT part FROM ledger_parts WHERE dropped_at IS NULL ORDER BY part')
    expect(parts[0].part).toBe(2)
  })
})
