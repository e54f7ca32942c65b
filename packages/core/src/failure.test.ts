/** The errors for users' code keep their arguments. */
import { expect, test } from '@jest/globals'
import { PermanentError, TransientError, UnavailableError } from './failure.js'

const cause = new Error('the cause')

test('a permanent error has its problems and its cause', () => {
  const problems = [{ pointer: '/a', message: 'must be a number' }]
  const error = new PermanentError('no', { problems, cause })
  expect(error).toMatchObject({ name: 'PermanentError', message: 'no', problems, cause })
  expect(new PermanentError('no').problems).toEqual([])
})

test('a transient error has its cause, and an unavailable dependency is named', () => {
  expect(new TransientError('busy', { cause })).toMatchObject({ name: 'TransientError', message: 'busy', cause })
  expect(new UnavailableError('rates', { cause })).toMatchObject({
    name: 'UnavailableError',
    message: 'rates is unavailable',
    dependency: 'rates',
    cause,
  })
})
