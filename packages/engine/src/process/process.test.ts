/** A problem with an event becomes the outcome of that event and leaves the others alone. */

import type { Payload } from '@eventflow/core'
import { type Delivery, type Outcome, PermanentError, UnavailableError } from '@eventflow/core'
import { createWorkerMetrics } from '@eventflow/runtime'
import { type Contract, createVersions, ownContractOf } from '@eventflow/schemas'
import { defineEvent, type EnrichContext, type Enricher, type EventDefinition, Type } from '@eventflow/sdk'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { traceBatch } from '../batch/trace.js'
import { deliveryOf } from '../partition/delivery.fixture.js'
import { compileDefinitions } from './definitions.js'
import { type ProcessDeps, processBatch } from './process.js'

/** The enrichers of these tests only compute; none uses Postgres or Redis. */
const context = {} as EnrichContext

/** No schema is registered, so each definition's own schema is used. */
const schemas = { versions: createVersions(), load: async () => () => undefined }
const metrics = createWorkerMetrics('test', [])
const rest = { context, schemas, metrics, random: () => 0.5, enrichTimeoutMs: 5_000, abandon: undefined }

type Enrich = Enricher['enrich']
type Rules = Partial<Pick<EventDefinition, 'validate' | 'retry' | 'type'>>

/** Defines `order.created` with enrichers by name. */
const orders = (enrichers: Record<string, Enrich> = {}, rules: Rules = {}) =>
  defineEvent({
    type: 'order.created',
    schema: Type.Object({ n: Type.Integer() }),
    enrich: Object.entries(enrichers).map(([name, enrich]) => ({ name, enrich })),
    ...rules,
  })

const untraced = traceBatch([], undefined)

const batchOf = (...numbers: unknown[]) => numbers.map((n, seq) => deliveryOf(seq, { data: { n } }))

const compile = (definitions: EventDefinition[]) =>
  compileDefinitions(new Map(definitions.map((definition) => [definition.type, definition])))

const run = (deliveries: readonly Delivery[], ...definitions: EventDefinition[]) =>
  processBatch(deliveries, { definitions: compile(definitions), ...rest }, untraced)

const kinds = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind)
const failureOf = (outcome: Outcome | undefined) => (outcome && 'failure' in outcome ? outcome.failure : undefined)
const seen: Enrich = (events) => events.map(() => ({ seen: true }))

describe('an event', () => {
  test('that is valid is processed with the additions of the enrichers, and is itself not changed', async () => {
    const deliveries = batchOf(1, 2)
    const before = structuredClone(deliveries)
    const double: Enrich = (events) => events.map(({ data }) => ({ double: 2 * (data.n as number) }))
    const outcomes = await run(deliveries, orders({ double }))
    expect(outcomes).toEqual([
      { kind: 'processed', delivery: deliveries[0], data: { n: 1, double: 2 }, payload: '{"n":1,"double":2}' },
      { kind: 'processed', delivery: deliveries[1], data: { n: 2, double: 4 }, payload: '{"n":2,"double":4}' },
    ])
    expect(deliveries).toEqual(before)
  })

  test.each<[string, object, string]>([
    ['comes last', { b: 2 }, '{"n": 1.50 ,"b":2}'],
    ['wins over a field of the same name', { n: 2 }, '{"n": 1.50 ,"n":2}'],
    ['is empty: the text is unchanged', {}, '{"n": 1.50 }'],
    ['removes a field', { n: undefined }, '{}'],
  ])('keeps its text; an addition %s', async (_, addition, payload) => {
    const [delivery] = batchOf(1.5)
    const [outcome] = await run([{ ...delivery!, payload: '{"n": 1.50 }' }], {
      ...orders({ add: (events) => events.map(() => addition as Payload) }),
      schema: Type.Object({ n: Type.Number() }),
    })
    expect(outcome).toMatchObject({ kind: 'processed', data: { n: 1.5, ...addition }, payload })
  })

  test('of an undefined type fails with a message that names the type', async () => {
    const [outcome, neighbour] = await run([deliveryOf(1, { type: 'un.known' }), ...batchOf(1)], orders())
    expect(outcome!.kind).toBe('failed')
    expect(failureOf(outcome)).toMatchObject({
      component: 'definition',
      failureType: 'permanent',
      errorClass: 'UnknownType',
      message: "no definition of the event type 'un.known' is loaded",
    })
    expect(neighbour!.kind).toBe('processed')
  })

  test('that violates its schema fails with pointers, before any enricher or rule runs', async () => {
    const asked: unknown[] = []
    const note: Enrich = (events) => events.map(({ data }) => ({ asked: asked.push(data.n) }))
    const validate = () => {
      asked.push('rule')
      return []
    }
    const outcomes = await run(batchOf(1, '2', 3), orders({ note }, { validate }))
    expect(kinds(outcomes)).toEqual(['processed', 'failed', 'processed'])
    expect(failureOf(outcomes[1])).toEqual({
      component: 'schema',
      failureType: 'permanent',
      errorClass: 'SchemaError',
      message: '/n must be integer',
      problems: [{ pointer: '/n', message: 'must be integer' }],
    })
    expect(asked).toEqual([1, 3, 'rule', 'rule'])
  })

  test('that breaks a rule fails with the rule’s problems', async () => {
    const problems = [
      { pointer: '/n', message: 'must be even' },
      { pointer: '', message: 'is odd' },
    ]
    const validate = ({ data }: { data: Record<string, unknown> }) => (data.n === 2 ? [] : problems)
    const outcomes = await run(batchOf(2, 3), orders({ seen }, { validate }))
    expect(kinds(outcomes)).toEqual(['processed', 'failed'])
    expect(failureOf(outcomes[1])).toEqual({
      component: 'validate',
      failureType: 'permanent',
      errorClass: 'RuleViolation',
      message: '/n must be even; the event is odd',
      problems,
    })
  })

  test('whose rule throws is retried', async () => {
    const validate = ({ data }: { data: Record<string, unknown> }) => {
      if (data.n === 2) throw new RangeError('surprise')
      return []
    }
    const outcomes = await run(batchOf(1, 2, 3), orders({}, { validate }))
    expect(kinds(outcomes)).toEqual(['processed', 'retry', 'processed'])
    expect(failureOf(outcomes[1])).toMatchObject({ component: 'validate', errorClass: 'RangeError' })
  })

  test('is retried by the policy of its type and fails after its last attempt', async () => {
    const fail: Enrich = (events) => events.map(() => new Error('no'))
    const definition = orders({ fail }, { retry: { attempts: 3, baseDelayMs: 100 } })
    const deliveries = [0, 1, 2].map((attempts) => deliveryOf(attempts, { data: { n: 1 } }, { attempts }))
    const outcomes = await run(deliveries, definition)
    expect(kinds(outcomes)).toEqual(['retry', 'retry', 'failed'])
    expect(outcomes).toMatchObject([{ delayMs: 50 }, { delayMs: 100 }, {}])
  })
})

describe('an enricher', () => {
  test('is called once for the whole batch, and sees the additions of the enrichers before it', async () => {
    const calls: string[] = []
    const first: Enrich = (events) => {
      calls.push(`first ${events.map(({ data }) => data.n)}`)
      return events.map(({ data }) => ({ a: data.n }))
    }
    const second: Enrich = (events) => {
      calls.push(`second ${events.map(({ data }) => data.a)}`)
      return events.map(({ data }) => ({ b: data.a }))
    }
    const outcomes = await run(batchOf(1, 2), orders({ first, second }))
    expect(calls).toEqual(['first 1,2', 'second 1,2'])
    expect(outcomes).toMatchObject([{ data: { n: 1, a: 1, b: 1 } }, { data: { n: 2, a: 2, b: 2 } }])
  })

  test.each<[string, Enrich]>([
    [
      'that throws for one event',
      (events) =>
        events.map(({ data }) => {
          if (data.n === 3) throw new Error('three!')
          return { seen: true }
        }),
    ],
    [
      'that rejects for one event',
      async (events) => {
        await null
        if (events.some(({ data }) => data.n === 3)) throw new Error('three!')
        return events.map(() => ({ seen: true }))
      },
    ],
    [
      'that answers an error for one event',
      (events) => events.map(({ data }) => (data.n === 3 ? new Error('three!') : { seen: true })),
    ],
  ])('%s fails only that event, and the next enricher gets only the others', async (_, moody) => {
    const asked: unknown[] = []
    const next: Enrich = (events) => events.map(({ data }) => ({ next: asked.push(data.n) }))
    const outcomes = await run(batchOf(1, 2, 3, 4, 5), orders({ moody, next }))
    expect(kinds(outcomes)).toEqual(['processed', 'processed', 'retry', 'processed', 'processed'])
    expect(failureOf(outcomes[2])).toMatchObject({ component: 'enrich:moody', message: 'three!' })
    expect(asked).toEqual([1, 2, 4, 5])
    expect(outcomes[4]).toMatchObject({ data: { n: 5, seen: true, next: 4 } })
  })

  test('that throws a PermanentError for one event fails it with its problems', async () => {
    const problems = [{ pointer: '/n', message: 'is never right' }]
    const strict: Enrich = (events) => {
      if (events.some(({ data }) => data.n === 1)) throw new PermanentError('never', { problems })
      return events.map(() => ({}))
    }
    const outcomes = await run(batchOf(0, 1, 2), orders({ strict }))
    expect(kinds(outcomes)).toEqual(['processed', 'failed', 'processed'])
    expect(failureOf(outcomes[1])).toMatchObject({ failureType: 'permanent', problems })
  })

  test('that answers too few or too many additions for a batch is called again for smaller ones', async () => {
    const atMostTwo: Enrich = (events) => events.slice(0, 2).map(({ data }) => ({ of: data.n }))
    const outcomes = await run(batchOf(1, 2, 3, 4, 5), orders({ atMostTwo }))
    expect(outcomes).toMatchObject([1, 2, 3, 4, 5].map((n) => ({ kind: 'processed', data: { n, of: n } })))
  })

  test.each<[string, Enrich]>([
    ['0 additions', () => []],
    ['2 additions', () => [{}, {}]],
  ])('that answers %s for one event fails it, with a message that names the enricher', async (answer, wrong) => {
    const [outcome] = await run(batchOf(1), orders({ wrong }))
    expect(outcome!.kind).toBe('failed')
    expect(failureOf(outcome)).toMatchObject({
      errorClass: 'WrongAnswer',
      message: `enricher 'wrong' of 'order.created' answered ${answer} for 1 events; expected an array with one addition for each event`,
    })
  })

  test('that does not answer a list fails its events and not the worker', async () => {
    const broken = (() => undefined) as unknown as Enrich
    expect(kinds(await run(batchOf(1, 2), orders({ broken })))).toEqual(['failed', 'failed'])
  })

  test.each([null, 'text', Symbol('x'), Object.create(null)])('may throw anything: %p', async (thrown) => {
    const odd: Enrich = () => {
      throw thrown
    }
    expect(kinds(await run(batchOf(1, 2), orders({ odd })))).toEqual(['retry', 'retry'])
  })

  test('of one type does not affect the events of another', async () => {
    const fail: Enrich = () => {
      throw new Error('no')
    }
    const other = orders({ seen }, { type: 'user.updated' })
    const users = batchOf(1, 2).map(({ event, ...rest }) => ({ ...rest, event: { ...event, type: 'user.updated' } }))
    const [order, ...rest] = batchOf(0)
    const outcomes = await run([users[0]!, order!, users[1]!, ...rest], orders({ fail }), other)
    expect(kinds(outcomes)).toEqual(['processed', 'retry', 'processed'])
  })
})

describe('a dependency that is down', () => {
  test('makes all events that need it wait, charges no attempt, and is called once', async () => {
    let asked = 0
    const down: Enrich = () => {
      asked++
      throw new UnavailableError('rates')
    }
    const deliveries = [0, 2, 99].map((attempts, seq) => deliveryOf(seq, { data: { n: 1 } }, { attempts }))
    const outcomes = await run(deliveries, orders({ down }))
    expect(asked).toBe(1)
    expect(outcomes).toMatchObject(
      deliveries.map((delivery) => ({
        kind: 'wait',
        delivery,
        failure: { component: 'enrich:down', failureType: 'unavailable', message: 'rates is unavailable' },
      })),
    )
  })

  test('does not affect events that do not need it or had failed before', async () => {
    const first: Enrich = (events) => events.map(({ data }) => (data.n === 1 ? new PermanentError('never') : {}))
    const down: Enrich = () => {
      throw new UnavailableError('rates')
    }
    const user = deliveryOf(9, { type: 'user.updated', data: { n: 1 } })
    const users = orders({ seen }, { type: 'user.updated' })
    const outcomes = await run([...batchOf(0, 1, 'x'), user], orders({ first, down }), users)
    expect(kinds(outcomes)).toEqual(['wait', 'failed', 'failed', 'processed'])
  })

  test('during halving makes all events wait that are not already known to be at fault', async () => {
    let asked = 0
    const goingDown: Enrich = (events) => {
      if (++asked > 3) throw new UnavailableError('rates')
      if (events.some(({ data }) => data.n === 0)) throw new PermanentError('never')
      return events.map(() => ({}))
    }
    const outcomes = await run(batchOf(0, 1, 2, 3), orders({ goingDown }))
    expect(kinds(outcomes)).toEqual(['failed', 'wait', 'wait', 'wait'])
  })

  test('for one event makes only that event wait', async () => {
    const partly: Enrich = (events) => events.map(({ data }) => (data.n === 2 ? new UnavailableError('rates') : {}))
    expect(kinds(await run(batchOf(1, 2, 3), orders({ partly })))).toEqual(['processed', 'wait', 'processed'])
  })
})

/** The cases of an event, with the expected outcomes. */
const FATES = {
  fine: 'processed',
  'breaks the schema': 'failed',
  'of no known type': 'failed',
  'makes the enricher throw': 'retry',
  'makes the enricher throw for good': 'failed',
  'is answered with an error': 'retry',
  'waits for a dependency': 'wait',
  'breaks a rule': 'failed',
  'makes the rule throw': 'retry',
} as const

test('in any batch each event has the outcome of its own case, in its own place', async () => {
  type Fate = keyof typeof FATES
  const enrich: Enrich = (events) =>
    events.map(({ data: { fate } }) => {
      if (fate === 'makes the enricher throw') throw new Error(fate)
      if (fate === 'makes the enricher throw for good') throw new PermanentError(fate)
      if (fate === 'is answered with an error') return new Error(fate)
      if (fate === 'waits for a dependency') return new UnavailableError(fate)
      return { enriched: true }
    })
  const validate: EventDefinition['validate'] = ({ data: { fate } }) => {
    if (fate === 'makes the rule throw') throw new Error(fate)
    return fate === 'breaks a rule' ? [{ pointer: '/fate', message: fate }] : []
  }
  const definition = defineEvent({
    type: 'order.created',
    schema: Type.Object({ fate: Type.String(), bad: Type.Optional(Type.Never()) }),
    enrich: [{ name: 'fateful', enrich }],
    validate,
  })
  const definitions = compile([definition])
  const fate = fc.constantFrom(...(Object.keys(FATES) as Fate[]))
  await fc.assert(
    fc.asyncProperty(fc.array(fate, { maxLength: 40 }), async (fates) => {
      const deliveries = fates.map((fate, seq) =>
        deliveryOf(seq, {
          ...(fate === 'of no known type' && { type: 'un.known' }),
          data: { fate, ...(fate === 'breaks the schema' && { bad: 1 }) },
        }),
      )
      const outcomes = await processBatch(deliveries, { definitions, ...rest }, untraced)
      expect(outcomes.map(({ delivery }) => delivery)).toEqual(deliveries)
      expect(kinds(outcomes)).toEqual(fates.map((fate) => FATES[fate]))
    }),
  )
})

describe('an event that names a version of its schema', () => {
  const version = (n: number) =>
    deliveryOf(n, { data: { n }, extensions: { dataschema: `/schemas/order.created/versions/${n}` } })

  /** Versions 1 to 9 are registered; this process caches two of them. */
  const registry = () => {
    const versions = createVersions({ maxLoaded: 2 })
    const loads: number[][] = []
    const load: ProcessDeps['schemas']['load'] = async (wanted) => {
      loads.push(wanted.map((one) => one.version))
      const loaded = new Map<number, Contract>()
      for (const { version, ...subject } of wanted.filter((one) => one.version < 10)) {
        const contract = ownContractOf({ schema: Type.Object({ n: Type.Literal(version) }) })
        versions.keep(subject, version, contract)
        loaded.set(version, contract)
      }
      return (one) => loaded.get(one.version)
    }
    return { versions, load, loads }
  }
  const process = (deliveries: readonly Delivery[], schemas: ReturnType<typeof registry>) =>
    processBatch(deliveries, { definitions: compile([orders()]), ...rest, schemas }, untraced)

  test('is read by that version, however many others are in use', async () => {
    const schemas = registry()
    const all = Array.from({ length: 9 }, (_, i) => version(i + 1))
    expect(kinds(await process(all, schemas))).toEqual(all.map(() => 'processed'))
    // Loading versions for a batch does not evict those that were cached when it began.
    expect(kinds(await process([version(9), version(8), version(1), version(2)], schemas))).toEqual([
      'processed',
      'processed',
      'processed',
      'processed',
    ])
    expect(schemas.loads[1]).toEqual([1, 2])
  })

  test('in use keeps the version cached; of the others the least recently used is evicted', async () => {
    const schemas = registry()
    for (const n of [1, 2, 1, 3, 1, 4, 1]) await process([version(n)], schemas)
    expect(schemas.loads.flat().filter((n) => n === 1).length).toBeLessThan(3)
  })

  test('that is not registered fails', async () => {
    const [outcome] = await process([version(10)], registry())
    expect(failureOf(outcome)).toMatchObject({ errorClass: 'UnknownSchema' })
  })
})
