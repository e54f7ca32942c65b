/**
 * Definitions whose functions do what no type allows: the affected event ends as a dead letter with an understandable
 * message, the next event of the same definition is processed at once, and operators can act on the bad one.
 */
import { defineEvent, derive, type Enricher, type EventDefinition, lookup, PermanentError, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

/** Whether the operators have repaired the definitions. */
let mended = false

/** Returns what no type allows, for the event that asks for it, until it is repaired. */
const odd = (event: { data: { bad?: boolean } }, bad: () => unknown, good: () => unknown = () => []): never =>
  (event.data.bad && !mended ? bad() : good()) as never

interface Bad {
  what: string
  does: Partial<EventDefinition>
  /** The message of the dead letter; `TYPE` stands for the event type. */
  says: string | RegExp
  component: string
  /** It is retried before it ends. */
  retries?: true
  /** Further attributes of the bad event. */
  event?: object
}

/** A retry that does not come within the test. */
const WAITING = { attempts: 9, baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 }

const LIST = 'a list of problems, each with the texts pointer and message, or [] where there are none'
const ADDITION = 'a plain object that JSON can hold, or an Error'
const LIFTED = 'the data of the next version, a plain object that JSON can hold'

const throwing = (error: unknown) => () => {
  throw error
}

const rule = (what: string, answer: () => unknown, says: string | RegExp): Bad => ({
  what: `a rule ${what}`,
  does: { validate: (event) => odd(event, answer) },
  says,
  component: 'validate',
})

const wrongRule = (what: string, answer: () => unknown, answered: string) =>
  rule(`that answers ${what}`, answer, `validate of 'TYPE' answered ${answered}; expected ${LIST}`)

const enricher = (what: string, enrich: Enricher['enrich'], says: string | RegExp): Bad => ({
  what: `an enricher ${what}`,
  does: { enrich: [{ name: 'odd', enrich }] },
  says,
  component: 'enrich:odd',
})

const addition = (what: string, answer: () => unknown, answered: string) =>
  enricher(
    `that adds ${what}`,
    (events) => events.map((event) => odd(event, answer, () => ({ added: 1 }))),
    new RegExp(`^enricher 'odd' of 'TYPE' answered ${answered} as addition \\d; expected ${ADDITION}$`),
  )

const upcaster = (what: string, answer: () => unknown, says: string): Bad => ({
  what: `an upcaster ${what}`,
  does: { upcast: { 1: (data) => odd({ data }, answer, () => data) } },
  says,
  component: 'upcast',
  event: { dataschema: '/schemas/TYPE/versions/1' },
})

const cyclic = () => {
  const value: Record<string, unknown> = {}
  value.self = value
  return value
}

const hostile = () =>
  Object.defineProperty(new PermanentError('no such customer'), 'problems', { get: throwing(new Error('looked at')) })

const KINDS: Bad[] = [
  wrongRule('nothing', () => undefined, 'undefined'),
  wrongRule('true', () => true, 'true'),
  wrongRule('false', () => false, 'false'),
  wrongRule('a number', () => 1, 'the number 1'),
  wrongRule('an error', () => new Error('no'), 'an error: no'),
  wrongRule('a set', () => new Set(['x']), 'a Set'),
  wrongRule('one problem', () => ({ pointer: '/n', message: 'no' }), 'an object with pointer, message'),
  wrongRule('texts', () => ['too small'], 'a list with the text "too small" in it'),
  wrongRule('problems without a pointer', () => [{ message: 'no' }], 'a list with an object with message in it'),
  rule(
    'that is async',
    async () => [{ pointer: '/n', message: 'no' }],
    `validate of 'TYPE' answered a promise; expected ${LIST}, synchronously (the function must not be async)`,
  ),
  rule('whose promise is rejected', async () => Promise.reject(new Error('later')), /answered a promise/),
  { ...rule('that throws', throwing(new TypeError('x is not a function')), 'x is not a function'), retries: true },
  { ...rule('that throws nothing', throwing(undefined), 'undefined was thrown, which is no error'), retries: true },
  rule('whose error has a getter that throws', throwing(hostile()), 'no such customer'),
  {
    ...rule('whose error cannot be stored', throwing(new Error('a\0b\ud83d')), 'a\ufffdb\ufffd'),
    retries: true,
  },
  {
    ...rule('that changes the data', () => [], /^Cannot assign to read only property 'n' of object/),
    does: {
      validate: ({ data }) => {
        if (data.bad && !mended) data.n = 100
        return []
      },
    },
    retries: true,
  },
  addition('null', () => null, 'null'),
  addition('undefined', () => undefined, 'undefined'),
  addition('a number', () => 5, 'the number 5'),
  addition('a map', () => new Map([['a', 1]]), 'a Map'),
  addition('a set', () => new Set(), 'a Set'),
  addition('a list', () => [1], 'an array of 1'),
  addition('a BigInt', () => ({ n: 5n }), 'the BigInt 5 at /n'),
  addition('what is no number', () => ({ of: [{ n: Number.NaN }] }), 'the number NaN at /of/0/n'),
  addition('a map inside', () => ({ rates: new Map() }), 'a Map at /rates'),
  addition('a function inside', () => ({ run: () => {} }), 'a function at /run'),
  addition('itself inside', cyclic, 'more than 32 levels, or itself inside itself, at (/self)+'),
  addition('NUL', () => ({ name: '\0' }), '.*NUL.* at /name'),
  enricher(
    'whose additions are promises that are rejected',
    (events) =>
      events.map((event) =>
        odd(
          event,
          async () => throwing(new PermanentError('no such customer'))(),
          () => ({}),
        ),
      ),
    'no such customer',
  ),
  enricher(
    'that answers a number',
    (events) => (events.some(({ data }) => data.bad && !mended) ? (5 as never) : events.map(() => ({}))),
    `enricher 'odd' of 'TYPE' answered the number 5; expected an array with one addition for each event`,
  ),
  {
    ...enricher(
      'that never answers',
      (events) =>
        odd(
          events.find(({ data }) => data.bad) ?? events[0]!,
          () => new Promise(() => {}),
          () => events.map(() => ({})),
        ),
      `enricher 'odd' of 'TYPE' did not answer within 0.2 s`,
    ),
    retries: true,
  },
  {
    ...enricher(
      'whose statement raises what looks like an outage',
      async (events, { sql }) => {
        if (events.some(({ data }) => data.bad && !mended))
          await sql.query(`DO $$ BEGIN RAISE EXCEPTION 'for good' USING ERRCODE = '57P01'; END $$`)
        return events.map(() => ({}))
      },
      'for good',
    ),
    retries: true,
  },
  {
    what: 'a look-up whose key is an object',
    does: {
      enrich: [
        lookup({
          table: 'partitions',
          key: 'id',
          columns: ['epoch'],
          fields: {
            row: (event) =>
              odd(
                event as never,
                () => ({ id: 1 }),
                () => 1,
              ),
          },
        }),
      ],
    },
    says: `the key for row is an object with id; expected a string or an integer`,
    component: 'enrich:partitions',
  },
  {
    what: 'a derived field that is a promise',
    does: {
      enrich: [
        derive('total', (event) =>
          odd(
            event,
            async () => throwing(new PermanentError('no total'))(),
            () => ({}),
          ),
        ),
      ],
    },
    says: 'no total',
    component: 'enrich:total',
  },
  upcaster(
    'that is async',
    async () => ({}),
    `upcast[1] of 'TYPE' answered a promise; expected ${LIFTED}, synchronously (the function must not be async)`,
  ),
  upcaster('that answers a list', () => [1], `upcast[1] of 'TYPE' answered an array of 1; expected ${LIFTED}`),
  upcaster(
    'that answers a BigInt',
    () => ({ n: 5n }),
    `upcast[1] of 'TYPE' answered the BigInt 5 at /n; expected ${LIFTED}`,
  ),
  upcaster('that throws null', throwing(null), 'null was thrown, which is no error'),
]

const Data = Type.Object({ n: Type.Integer(), bad: Type.Optional(Type.Boolean()) })

/** The kinds, each with a separate event type. */
const TABLE = KINDS.map((kind, index) => {
  const type = `odd.${index}`
  const named = (text: string) => text.replaceAll('TYPE', type)
  return {
    ...kind,
    type,
    says: typeof kind.says === 'string' ? named(kind.says) : new RegExp(named(kind.says.source)),
    event: JSON.parse(named(JSON.stringify(kind.event ?? {}))),
    definition: defineEvent({ type, schema: Data, retry: { attempts: 2, baseDelayMs: 10 }, ...(kind.does as object) }),
    // The bad event of this type waits for ever.
    waiting: defineEvent({ type: `${type}.w`, schema: Data, retry: WAITING, ...(kind.does as object) }),
  }
})

/** Time limit of a sound event: it takes far less than a second on an idle machine. */
const SOON_S = 5

let pipeline: TestPipeline

beforeAll(async () => {
  const retrying = TABLE.filter(({ retries }) => retries)
  const definitions = [...TABLE.map(({ definition }) => definition), ...retrying.map(({ waiting }) => waiting)]
  pipeline = await startPipeline(definitions, { EVENTFLOW_ENRICH_TIMEOUT_SECONDS: '0.2', EVENTFLOW_LANES: '1' })
  await pipeline.startWorker()
  const unowned = 'SELECT FROM partitions WHERE owner IS NULL'
  await until('it works', async () => (await pipeline.db.query(unowned)).rows.length === 0)
  await pipeline.send([{ type: TABLE[0]!.type, data: { n: 0 } }])
  await pipeline.drained()
})

afterAll(() => pipeline.stop())

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
const get = async (path: string) => (await fetch(`${pipeline.url}${path}`)).json() as Promise<any>

const settled = (id: string, status: string) =>
  until(`it is ${status}`, async () => {
    const event = await get(`/v1/events/${id}`)
    return event.status === status && event
  })

/** Sends a bad event and after it a sound one of the same type, in one request; returns their ids. */
async function sendBoth(type: string, event: object): Promise<[string, string]> {
  const both = [{ n: 1, bad: true }, { n: 2 }].map((data) => ({ type, data, partitionkey: `k${data.n}`, ...event }))
  const { items } = await pipeline.send(both)
  return [items[0]!.id!, items[1]!.id!]
}

const bad: string[] = []

describe.each(TABLE)('$what', ({ type, says, component, retries, event }) => {
  test('affects only its own event, which ends with a message that says what is wrong', async () => {
    const [badId, soundId] = await sendBoth(type, event)
    bad.push(badId)
    await settled(soundId, 'processed')
    const sql = 'SELECT extract(epoch FROM processed_at - accepted_at) AS s FROM processed_events WHERE event_id = $1'
    expect(Number((await pipeline.db.query(sql, [soundId])).rows[0].s)).toBeLessThan(SOON_S)
    const { failure, timeline } = await settled(badId, 'failed')
    expect(failure).toMatchObject({ component, message: says instanceof RegExp ? expect.stringMatching(says) : says })
    expect(timeline.filter(({ what }: { what: string }) => what.startsWith('attempt'))).toHaveLength(retries ? 2 : 1)
  })
})

test('each of them can be replayed when its definition is repaired', async () => {
  mended = true
  await post(`${pipeline.url}/v1/dead-letters/replay`, { filter: { ids: bad }, rate: 1_000 })
  for (const id of bad) await settled(id, 'processed')
  mended = false
})

test.each(TABLE.filter(({ retries }) => retries))(
  '$what: while it waits it can be skipped',
  async ({ type, event }) => {
    const [badId, soundId] = await sendBoth(`${type}.w`, event)
    await settled(soundId, 'processed')
    await settled(badId, 'retrying')
    const answer = await post(
      `${pipeline.url}/v1/waiting/${badId}/skip`,
      { reason: 'in the way' },
      { 'x-operator': 'ada' },
    )
    expect(answer.status).toBe(200)
    await settled(badId, 'failed')
  },
)
