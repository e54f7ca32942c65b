/** What a failure means for its event. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { failureOf, historyWith, isUnavailable, outcomeOfFailure } from './classify.js'
import { describeValue } from './describe-value.js'
import { PermanentError, TransientError, UnavailableError } from './failure.js'
import type { Delivery, Failure } from './outcome.js'
import { DEFAULT_RETRY_POLICY } from './retry-policy.js'
import { findUnstorable } from './storable.js'

const delivery = (attempts: number): Delivery => ({
  event: {
    seq: 1,
    tenantId: 'default',
    id: '50ab5d72-5bed-58a3-ab02-c9f7fb0d68b8',
    type: 'order.created',
    source: '/',
    key: 'k',
    partition: 3,
    occurredAt: '2024-01-01T00:00:00.000Z',
    acceptedAt: '2024-01-01T00:00:00.000Z',
    correlationId: 'c',
    data: {},
  },
  payload: '{}',
  entryIds: ['1-0'],
  attempts,
  crashes: 0,
  inRetries: attempts > 0,
  history: Array.from({ length: attempts }, (_, i) => ({
    attempt: i + 1,
    at: '2024-01-01T00:00:00.000Z',
    component: 'enrich:x',
    errorClass: 'Error',
    message: 'before',
  })),
})

describe('a failure', () => {
  test('has problems only when it is permanent: a list of them, truncated if long, and no other list', () => {
    const problem = { pointer: '/a', message: 'no' }
    const problemsOf = (error: object) => failureOf(error, 'handle').problems
    const withProblems = (problems: unknown) => Object.assign(new PermanentError('no'), { problems })
    expect(problemsOf(withProblems([problem, { ...problem, more: 1 }]))).toEqual([problem, problem])
    expect(problemsOf(Object.assign(new TransientError('busy'), { problems: [problem] }))).toEqual([])
    expect(problemsOf(withProblems(Array(101).fill(problem)))).toHaveLength(100)
    for (const other of [problem, [problem, 5], [{ pointer: 1, message: 'no' }], [{ pointer: '' }]]) {
      expect(problemsOf(withProblems(other))).toEqual([])
    }
  })

  test.each<[string, unknown, Partial<Failure>]>([
    ['that is permanent', new PermanentError('no'), { failureType: 'permanent', errorClass: 'PermanentError' }],
    ['that is transient', new TransientError('busy'), { failureType: 'transient', errorClass: 'TransientError' }],
    [
      'of a dependency that is down',
      new UnavailableError('rates'),
      { failureType: 'unavailable', errorClass: 'UnavailableError', message: 'rates is unavailable' },
    ],
    [
      'of any other class',
      new RangeError('far'),
      { failureType: 'transient', errorClass: 'RangeError', message: 'far' },
    ],
    ['that is a text', 'oops', { failureType: 'transient', errorClass: 'Error', message: 'oops' }],
    ['that is nothing', undefined, { failureType: 'transient', message: 'undefined was thrown, which is no error' }],
    ['that has no text at all', Object.create(null), { failureType: 'transient', errorClass: 'Error' }],
    ['whose message is no text', Object.assign(new Error(), { message: 5 }), { message: 'an error without a text' }],
    ['that has only a code', Object.assign(new Error(), { code: 'ECONNREFUSED' }), { message: 'ECONNREFUSED' }],
    ['that is a symbol', Symbol('odd'), { message: 'a symbol was thrown, which is no error' }],
    ['that is an object with a message', { message: 'out of stock' }, { errorClass: 'Error', message: 'out of stock' }],
    ['with texts that cannot be stored', new PermanentError('a\0b\ud83d'), { message: 'a\ufffdb\ufffd' }],
    ['with a text without end', new Error('x'.repeat(1e7)), { message: `${'x'.repeat(1_999)}…` }],
    ['with problems that are none', Object.assign(new PermanentError('no'), { problems: ['x'] }), { message: 'no' }],
  ])('%s is described', (_, error, expected) => {
    expect(failureOf(error, 'enrich:x')).toMatchObject({ component: 'enrich:x', problems: [], ...expected })
  })

  test('that is permanent keeps its problems', () => {
    const problems = [{ pointer: '/net', message: 'must be positive' }]
    expect(failureOf(new PermanentError('no', { problems }), 'handle').problems).toEqual(problems)
  })

  test('is recognized by its name, from any copy of the class', () => {
    const copy = (name: string) => Object.assign(new Error('from another copy'), { name })
    expect(failureOf(copy('PermanentError'), 'handle')).toMatchObject({ failureType: 'permanent', problems: [] })
    expect(isUnavailable(copy('UnavailableError'))).toBe(true)
    expect(isUnavailable({ name: 'UnavailableError' })).toBe(false)
  })
})

describe('any thrown value', () => {
  const hostile: fc.Arbitrary<() => unknown> = fc.oneof(
    fc
      .anything({ withBigInt: true, withMap: true, withSet: true, withNullPrototype: true, withDate: true })
      .map((value) => () => value),
    fc.constantFrom<() => unknown>(
      () => throwing(new Error('x'), 'name', 'message', 'code', 'problems', 'toString'),
      () => throwing(new PermanentError('x'), 'message', 'problems'),
      () => throwing({}, 'then', 'message', 'constructor'),
      () => throwing([], 'length', '0'),
      () => Object.assign(new PermanentError('x'), { problems: [throwing({}, 'pointer')] }),
      () => new Proxy(new PermanentError('x'), { get: fails, has: fails, getPrototypeOf: fails, ownKeys: fails }),
      revoked,
      () => Object.setPrototypeOf(throwing({}, 'constructor'), Error.prototype),
      () => Object.create(null, { message: { value: '\0'.repeat(1e6) } }),
      () => Object.assign(() => {}, { message: 5 }),
    ),
    fc
      .record({ name: fc.anything(), message: fc.anything(), problems: fc.anything(), code: fc.anything() })
      .map((fields) => () => Object.assign(new PermanentError('x'), fields)),
    fc
      .array(fc.record({ pointer: fc.string({ unit: 'binary' }), message: fc.string({ unit: 'binary' }) }))
      .map((problems) => () => new PermanentError('x', { problems })),
  )

  test('becomes a failure with bounded, storable texts', () => {
    fc.assert(
      fc.property(hostile, (make) => {
        const thrown = make()
        const failure = failureOf(thrown, 'enrich:x')
        expect(['permanent', 'transient', 'unavailable']).toContain(failure.failureType)
        expect(typeof describeValue(thrown)).toBe('string')
        for (const text of [failure.errorClass, failure.message]) expect(text.length).toBeLessThanOrEqual(2_000)
        expect(failure.message).not.toBe('')
        expect(findUnstorable(failure)).toBeUndefined()
        expect(failure.problems.every((problem) => Object.keys(problem).join() === 'pointer,message')).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  function throwing<Target extends object>(target: Target, ...names: string[]): Target {
    for (const name of names) {
      if (name !== 'length') Object.defineProperty(target, name, { get: fails })
    }
    return target
  }

  function fails(): never {
    throw new TypeError('looked at')
  }

  function revoked(): unknown {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
})

test.each<[unknown, string]>([
  [null, 'null'],
  [5, 'the number 5'],
  ['a text', 'the text "a text"'],
  [Promise.resolve(), 'a promise'],
  [new Map(), 'a Map'],
  [new RangeError('far'), 'an error: far'],
  [[], 'an empty array'],
  [['x', 'y'], 'an array of 2'],
  [{}, 'an empty object'],
  [{ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }, 'an object with a, b, c, d, e, …'],
  [() => {}, 'a function'],
])('%p is described as %s', (value, description) => {
  expect(describeValue(value)).toBe(description)
})

describe('the outcome', () => {
  const failure = (failureType: Failure['failureType']): Failure => ({
    component: 'enrich:x',
    failureType,
    errorClass: 'Error',
    message: 'now',
    problems: [],
  })
  const outcome = (attempts: number, type: Failure['failureType'], random = 0.5) =>
    outcomeOfFailure(delivery(attempts), failure(type), DEFAULT_RETRY_POLICY, random)

  test('of a permanent failure is the final failure at once', () => {
    expect(outcome(0, 'permanent')).toEqual({ kind: 'failed', delivery: delivery(0), failure: failure('permanent') })
  })

  test('of transient failures is a retry after at most 2, 4 and 8 s, then the final failure', () => {
    const outcomes = [0, 1, 2, 3].map((attempts) => outcome(attempts, 'transient', 0.9999))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['retry', 'retry', 'retry', 'failed'])
    expect(outcomes.map((o) => ('delayMs' in o ? o.delayMs : undefined))).toEqual([1_999, 3_999, 7_999, undefined])
  })

  test('of a dependency that is down is to wait, regardless of the number of attempts', () => {
    for (const attempts of [0, 3, 100]) {
      const waiting = outcome(attempts, 'unavailable')
      expect(waiting).toMatchObject({ kind: 'wait', delivery: delivery(attempts) })
      expect('delayMs' in waiting && waiting.delayMs).toBeGreaterThan(0)
    }
  })

  test('under a policy of one attempt is the final failure at once', () => {
    const policy = { ...DEFAULT_RETRY_POLICY, attempts: 1 }
    expect(outcomeOfFailure(delivery(0), failure('transient'), policy, 0).kind).toBe('failed')
  })
})

test('the history gains the attempt that has just failed, and the delivery is unchanged', () => {
  const before = delivery(2)
  const failure = failureOf(new Error('now'), 'handle')
  const history = historyWith(before, failure, new Date('2024-01-02T00:00:00Z'))
  expect(history.map(({ attempt, message }) => [attempt, message])).toEqual([
    [1, 'before'],
    [2, 'before'],
    [3, 'now'],
  ])
  expect(history[2]).toMatchObject({ at: '2024-01-02T00:00:00.000Z', component: 'handle', errorClass: 'Error' })
  expect(before).toEqual(delivery(2))
})
