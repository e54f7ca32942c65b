/** What users' functions may do, and the result. */

import { PermanentError } from '@eventflow/core'
import { describe, expect, test } from '@jest/globals'
import { answerInTime, answerOf, type Called, wrongAnswer } from './user-code.js'

const called: Called = { type: 'order.created', name: 'validate', component: 'validate' }
const readNumber = (answer: unknown) => {
  if (typeof answer !== 'number') throw wrongAnswer(answer, 'a number')
  return answer
}
const atOnce = (call: () => unknown) => answerOf(called, call, 'a number', readNumber)
const inTime = (call: () => unknown, limitMs = 5_000) => answerInTime(called, limitMs, call, readNumber)

const throwing = () => {
  throw new PermanentError('no such customer')
}

describe.each([
  ['at once', async (call: () => unknown) => atOnce(call)],
  ['in time', inTime],
])('a function that answers %s', (_, ask) => {
  test('gives its answer', async () => {
    expect(await ask(() => 5)).toEqual({ value: 5 })
  })

  test('and throws fails with that error', async () => {
    expect(await ask(throwing)).toMatchObject({
      failure: { component: 'validate', failureType: 'permanent', message: 'no such customer' },
    })
  })

  test.each<[string, () => unknown]>([
    ['null', () => null],
    ['a proxy', () => new Proxy({}, { getPrototypeOf: throwing, ownKeys: throwing })],
    ['an object with a, b', () => ({ a: 1, b: 2 })],
  ])('with %s is reported as at fault', async (answered, call) => {
    expect(await ask(call)).toMatchObject({
      failure: {
        failureType: 'permanent',
        errorClass: 'WrongAnswer',
        message: `validate of 'order.created' answered ${answered}; expected a number`,
      },
    })
  })
})

// jest fails a test that leaves a rejection unhandled.
test('a promise is a wrong answer where none is allowed, and its rejection is handled', async () => {
  const message = `validate of 'order.created' answered a promise; expected a number, synchronously (the function must not be async)`
  // biome-ignore lint/suspicious/noThenProperty: a user's object may have one.
  const rejecting = { then: (_: unknown, reject: (error: unknown) => void) => reject(new Error('later')) }
  for (const promise of [Promise.resolve(5), Promise.reject(new Error('later')), rejecting]) {
    expect(atOnce(() => promise)).toMatchObject({ failure: { failureType: 'permanent', message } })
  }
  await new Promise(setImmediate)
})

test('a promise is awaited where one is allowed', async () => {
  expect(await inTime(async () => 5)).toEqual({ value: 5 })
  expect(await inTime(async () => throwing())).toMatchObject({ failure: { message: 'no such customer' } })
})

test('a function that does not answer in time has failed, and a later answer is ignored', async () => {
  let answer = (_: number) => {}
  const late = new Promise<number>((resolve) => {
    answer = resolve
  })
  const failure = {
    component: 'validate',
    failureType: 'transient',
    errorClass: 'Timeout',
    message: `validate of 'order.created' did not answer within 0.05 s`,
    problems: [],
  }
  expect(await inTime(() => late, 50)).toEqual({ failure })
  answer(5)
  expect(await inTime(() => new Promise(() => {}), 50)).toEqual({ failure })
})

test('a call is abandoned when no time is left for it', async () => {
  const abandoning = new AbortController()
  const asked = answerInTime(called, 5_000, () => new Promise(() => {}), readNumber, abandoning.signal)
  abandoning.abort()
  const failure = expect.objectContaining({ failureType: 'unavailable', errorClass: 'Stopped' })
  expect(await asked).toEqual({ failure })
  expect(await answerInTime(called, 5_000, () => 5, readNumber, abandoning.signal)).toEqual({ failure })
})
