/** The log entry of an error: enough to find its cause, nothing of an event. */
import { expect, test } from '@jest/globals'
import { describeError } from './describe-error.js'

const said = (error: unknown) => JSON.stringify(describeError(error))

const ofPostgres = (code: string, message: string) =>
  Object.assign(new Error(message), { name: 'error', code, severity: 'ERROR', detail: 'Key (name)=(canary) exists.' })

test('type, message, code and stack are logged', () => {
  const error = Object.assign(new TypeError('no such thing'), { code: 'ENOTHING' })
  const { stack, ...rest } = describeError(error)
  expect(rest).toEqual({ type: 'TypeError', message: 'no such thing', code: 'ENOTHING' })
  expect(stack).toMatch(/at .*describe-error\.test/)
})

test.each([
  ['what Postgres says of a value', ofPostgres('22P02', 'invalid input syntax for type integer: "canary"')],
  ['what a trigger raises', ofPostgres('P0001', 'no credit for canary')],
  ['the detail of Postgres', ofPostgres('57014', 'canceling statement due to statement timeout')],
  ['what JSON.parse could not read', parseError('{"a": canary}')],
  ['the arguments of a Redis command', redisError("ERR unknown command 'XADD', with args beginning with: 'canary' ")],
  ['what is thrown and is no error', 'canary'],
])('%s is not logged', (_, error) => {
  expect(said(error)).not.toContain('canary')
})

test('messages of Postgres about itself are logged', () => {
  expect(said(ofPostgres('57P01', 'terminating connection due to administrator command'))).toContain('administrator')
})

function parseError(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    return error
  }
}

function redisError(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError', command: { name: 'xadd', args: ['canary'] } })
}
