/** A handler's transaction: limited to its call and in time, and judged by the errors of its statements. */
import { setTimeout as delay } from 'node:timers/promises'
import { partitionOf } from '@eventflow/core'
import { readDepths } from '@eventflow/redis'
import { type AcceptedEvent, defineEvent, PermanentError, type Sql, Type, UnavailableError } from '@eventflow/sdk'
import { administer, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

type StepEvent = AcceptedEvent<{ n: number }>

/** What the handlers do besides recording their event. */
let doing: (event: StepEvent, tx: Sql) => unknown
let doingBatch: (events: readonly StepEvent[], tx: Sql) => unknown
/** The data that the handlers saw, in order. */
let seen: unknown[]

const fields = {
  schema: Type.Object({ n: Type.Integer() }),
  retry: { attempts: 3, baseDelayMs: 10 },
}

const step = defineEvent({
  ...fields,
  type: 'step.done',
  prepare: async (tx) => {
    await tx.query('CREATE TABLE effects (at integer GENERATED ALWAYS AS IDENTITY, event_id uuid, n integer)')
  },
  async handle(event, tx) {
    seen.push(structuredClone(event.data))
    await tx.query('INSERT INTO effects (event_id, n) VALUES ($1, $2)', [event.id, event.data.n])
    await doing(event, tx)
  },
})

const batch = defineEvent({
  ...fields,
  type: 'batch.done',
  async handleBatch(events, tx) {
    await doingBatch(events, tx)
    for (const { id, data } of events) {
      await tx.query('INSERT INTO effects (event_id, n) VALUES ($1, $2)', [id, data.n])
    }
  },
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([step, batch], {
    EVENTFLOW_LANES: '1',
    EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '0.5',
    EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS: '0.8',
  })
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

beforeEach(async () => {
  doing = async () => {}
  doingBatch = async () => {}
  seen = []
  await pipeline.db.query('TRUNCATE effects')
})

/** Sends events of the type, each with a new key unless one is given, and returns their rows when all are settled. */
async function settle(type: string, count: number, key?: string) {
  const events = Array.from({ length: count }, (_, n) => ({ type, data: { n }, ...(key && { partitionkey: key }) }))
  const { items } = await pipeline.send(events)
  await pipeline.drained()
  const { rows } = await pipeline.db.query(
    `SELECT e.status, p.attempts, p.history, e.message FROM events e
     LEFT JOIN processed_events p USING (tenant_id, event_id) WHERE e.event_id = ANY($1) ORDER BY e.seq`,
    [items.map(({ id }) => id)],
  )
  return rows
}

const effects = async () =>
  (await pipeline.db.query('SELECT n FROM effects ORDER BY at')).rows.map(({ n }: { n: number }) => n)

function keysOfOnePartition(): [string, string] {
  const keys = Array.from({ length: 100 }, (_, n) => `key ${n}`)
  const partition = (key: string) => partitionOf('default', key, pipeline.partitions)
  return [keys[0]!, keys.slice(1).find((key) => partition(key) === partition(keys[0]!))!]
}

const processed = (attempts = 1) => expect.objectContaining({ status: 'processed', attempts })

describe('no attempt is charged', () => {
  test.each<[string, (error: unknown) => never]>([
    [
      'as it is',
      (error) => {
        throw error
      },
    ],
    [
      'in an error of its own',
      (cause) => {
        throw new Error('could not write', { cause })
      },
    ],
  ])('when the connection is lost and the handler throws that %s', async (_, rethrow) => {
    let runs = 0
    doing = (_, tx) => runs++ === 0 && tx.query('SELECT pg_terminate_backend(pg_backend_pid())').catch(rethrow)
    expect(await settle('step.done', 1)).toEqual([processed()])
    expect([runs, await effects()]).toEqual([2, [0]])
  })

  test('when another transaction was in the way, also in a batch', async () => {
    let runs = 0
    doingBatch = (_, tx) => runs++ === 0 && tx.query(`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$`)
    expect(await settle('batch.done', 3)).toEqual([processed(), processed(), processed()])
    expect((await effects()).sort()).toEqual([0, 1, 2])
  })

  test('to a batch whose handlers are each quick enough, but not together', async () => {
    doing = () => delay(100)
    expect(await settle('step.done', 12)).toEqual(Array(12).fill(processed()))
    expect((await effects()).length).toBe(12)
  })
})

describe('a handler that fails', () => {
  test('with a text that cannot be stored succeeds in its next attempt', async () => {
    const errors = [() => JSON.parse('\u0000'), () => Promise.reject(new Error('😉'.slice(0, 1)))]
    doing = () => errors.pop()?.()
    const [row] = await settle('step.done', 1)
    expect(row).toEqual(processed(3))
    expect(row.history.map(({ message }: { message: string }) => message.includes('\ufffd'))).toEqual([true, true])
  })

  test.each<[string, () => Error]>([
    ['fails', () => new Error('not now')],
    ['waits for a dependency', () => new UnavailableError('something')],
  ])(
    'and %s is not overtaken by a later event of its key, wherever the two events are within the batch',
    async (_, error) => {
      const failed = new Set<number>()
      const failOnce = ({ data: { n } }: StepEvent) => {
        if ([2, 5].includes(n) && !failed.has(n) && failed.add(n)) throw error()
      }
      doing = failOnce
      await settle('step.done', 8, 'a')
      expect(await effects()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      await pipeline.db.query('TRUNCATE effects')
      failed.clear()
      doingBatch = (events) => events.forEach(failOnce)
      await settle('batch.done', 8, 'b')
      expect(await effects()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      await pipeline.streamsEmpty()
    },
  )

  test('leaves its stream entry in place for the other events in it', async () => {
    const [first, second] = keysOfOnePartition()
    let isAway = true
    let failed = false
    doing = ({ key }) => {
      if (key === second && isAway) throw new UnavailableError('something')
      if (key === first && !failed) {
        failed = true
        throw new Error('once')
      }
    }
    await pipeline.send([first, second].map((partitionkey, n) => ({ type: 'step.done', data: { n }, partitionkey })))
    await until('the first is processed', async () => (await effects()).join() === '0')
    const depths = await readDepths(pipeline.redis, pipeline.prefix, pipeline.partitions)
    expect(depths.reduce((sum, { length }) => sum + length, 0)).toBe(1)
    isAway = false
    await pipeline.drained()
    await pipeline.streamsEmpty()
  })

  test('is found in a batch with a single rerun of those before it: the one that settles them', async () => {
    const runs = new Map<number, number>()
    doing = ({ data: { n } }) => {
      runs.set(n, (runs.get(n) ?? 0) + 1)
      if (n % 2 === 1) throw Object.assign(new Error('odd'), { name: 'PermanentError' })
    }
    await settle('step.done', 20)
    expect(Math.max(...runs.values())).toBeLessThanOrEqual(2)
    expect((await effects()).length).toBe(10)
  })

  test('beside others that all fail does not cause an INSERT for each pair of them', async () => {
    await administer(
      `CREATE SEQUENCE tries;
      CREATE FUNCTION count_try() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN PERFORM nextval('tries'); RETURN NEW; END $$;
      CREATE TRIGGER tries BEFORE INSERT ON processed_events FOR EACH ROW EXECUTE FUNCTION count_try();
      GRANT SELECT ON tries TO eventflow`,
      pipeline.databaseUrl,
    )
    doing = () => {
      throw new PermanentError('no')
    }
    await settle('step.done', 64, 'a key')
    const { rows } = await pipeline.db.query('SELECT last_value FROM tries')
    await administer('DROP TRIGGER tries ON processed_events', pipeline.databaseUrl)
    // One after the other they would be 64 + 63 + … + 1 = 2,080; in halves it is 64 a level.
    expect(rows[0].last_value).toBeLessThan(64 * 10)
  })
})

describe('the transaction of a handler', () => {
  test('starts each run with the event as stored, also a run caused by a neighbour', async () => {
    let runs = 0
    const change = (event: StepEvent) => {
      try {
        event.data.n *= 100
      } catch {}
      try {
        Object.assign(event, { data: { n: -1 }, id: null })
      } catch {}
    }
    doing = (event) => {
      change(event)
      if (runs++ === 1) throw new Error('the second fails')
    }
    await settle('step.done', 3)
    expect(seen).toEqual(expect.arrayContaining([{ n: 0 }, { n: 1 }, { n: 2 }]))
    expect(seen.every((data) => [0, 1, 2].includes((data as { n: number }).n))).toBe(true)
    expect((await effects()).sort()).toEqual([0, 1, 2])

    await pipeline.db.query('TRUNCATE effects')
    let failed = false
    doingBatch = (events) => {
      if (failed) return
      failed = true
      ;(events as StepEvent[]).splice(0)
      throw new Error('once')
    }
    await settle('batch.done', 3)
    expect((await effects()).sort()).toEqual([0, 1, 2])
  })

  test('leaves no changed setting to the next handler, nor to the next user of the connection', async () => {
    const settings: string[] = []
    doing = async ({ data: { n } }, tx) => {
      const [row] = await tx.query<{ path: string; role: string }>(
        `SELECT current_setting('search_path') || ' ' || current_setting('role') AS path`,
      )
      settings.push(row!.path)
      if (n === 0) await tx.query('SET LOCAL search_path = elsewhere; SET LOCAL ROLE pg_read_all_stats')
      if (n === 1) await tx.query(`SELECT set_config('search_path', 'elsewhere', false)`)
    }
    expect(await settle('step.done', 3)).toEqual([processed(), processed(), processed()])
    expect(new Set(settings)).toEqual(new Set(['"$user", public none']))
    const paths = await Promise.all(Array.from({ length: 10 }, () => pipeline.db.query('SHOW search_path')))
    expect(new Set(paths.map(({ rows }) => rows[0].search_path))).toEqual(new Set(['"$user", public']))
  })

  test('may have savepoints', async () => {
    doing = async (_, tx) => {
      await tx.query('SAVEPOINT before')
      await tx.query('SELECT FROM nowhere').catch(() => {})
      await tx.query('ROLLBACK TO before')
    }
    expect(await settle('step.done', 2)).toEqual([processed(), processed()])
    expect(await effects()).toEqual([0, 1])
  })

  test('ends without a statement that is not awaited, whose promise never settles', async () => {
    let goneOn = false
    const goOn = () => {
      goneOn = true
    }
    let slow = true
    doing = (_, tx) => {
      if (slow) void tx.query('SELECT pg_sleep(0.3)').then(goOn, goOn)
      slow = false
    }
    expect(await settle('step.done', 1)).toEqual([processed(2)])
    expect(goneOn).toBe(false)
  })

  test('refuses statements after the handler has returned, and affects no other one', async () => {
    let late: Promise<unknown> | undefined
    doing = ({ data: { n } }, tx) => {
      late ??= delay(50).then(() => tx.query('INSERT INTO effects (n) VALUES (99)'))
      return n === 1 ? delay(100) : undefined
    }
    const settled = settle('step.done', 2)
    await until('it is used late', () => late !== undefined)
    await expect(late).rejects.toThrow(
      "tx was used after handle of 'step.done' had returned: a statement of it is not awaited",
    )
    expect(await settled).toEqual([processed(), processed()])
    expect(await effects()).toEqual([0, 1])
  })
})

test('a number that JavaScript would round reaches a handler as text, and finds its row again', async () => {
  await pipeline.db.query('CREATE TABLE accounts (id bigint, hits integer)')
  await pipeline.db.query('INSERT INTO accounts VALUES (9007199254740993, 0)')
  doing = async (_, tx) => {
    const [account] = await tx.query<{ id: string }>('SELECT id FROM accounts')
    await tx.query('UPDATE accounts SET hits = hits + 1 WHERE id = $1', [account!.id])
  }
  await settle('step.done', 1)
  expect((await pipeline.db.query('SELECT id::text, hits FROM accounts')).rows).toEqual([
    { id: '9007199254740993', hits: 1 },
  ])
})

test('the number of events that fit into a transaction is learned once, not with each batch', async () => {
  const slow = await startPipeline([step], {
    EVENTFLOW_LANES: '1',
    EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '0.2',
    EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS: '0.2',
  })
  try {
    await slow.startWorker()
    doing = () => delay(10)
    for (let round = 0; round < 2; round++) {
      await slow.send(Array.from({ length: 120 }, (_, n) => ({ type: 'step.done', data: { n } })))
      await slow.drained()
    }
    // About 20 fit. Halving each batch from its whole length would need over 250 more calls that are undone.
    expect(seen.length).toBeLessThan(240 + 180)
  } finally {
    await slow.stop()
  }
})

test('a worker stops soon, even if its handlers hang', async () => {
  const worker = await pipeline.startWorker('second')
  await until('it has partitions', async () => {
    const { rows } = await pipeline.db.query(`SELECT FROM partitions WHERE owner = 'second'`)
    return rows.length === 8
  })
  let hanging = true
  doing = () => (hanging ? new Promise(() => {}) : undefined)
  await pipeline.send(Array.from({ length: 50 }, (_, n) => ({ type: 'step.done', data: { n } })))
  await until('a handler hangs', () => seen.length > 1)
  const toldAt = performance.now()
  await worker.stop()
  expect(performance.now() - toldAt).toBeLessThan(5_000)
  hanging = false
  await pipeline.drained()
  expect(new Set(await effects()).size).toBe(50)
})
