/** Formatting log lines for people. */
import { expect, test } from '@jest/globals'
import { painter, readable } from './log-line.js'

const plain = painter(false)
const time = '2001-01-01T12:01:07.000Z'
const clock = new Date(time).toTimeString().slice(0, 8)
const line = (entry: object) => readable(JSON.stringify({ level: 'info', time, service: 'ingest', ...entry }), plain)

test('a line has time, level, message, and the fields that are not shown elsewhere', () => {
  expect(line({ msg: 'listening', address: 'http://127.0.0.1:8000', worker_id: 'worker-1' })).toBe(
    `${clock} INFO  listening address=http://127.0.0.1:8000`,
  )
})

test('text with spaces is quoted, structures are JSON', () => {
  expect(line({ msg: 'm', reason: 'a b', partitions: [1, 2], none: null })).toBe(
    `${clock} INFO  m reason="a b" partitions=[1,2] none=null`,
  )
})

test('an error has its stack on separate lines; a warning has the message', () => {
  expect(line({ level: 'error', msg: 'failed', err: { message: 'x', stack: 'Error: x\n    at y' } })).toBe(
    `${clock} ERROR failed\nError: x\n    at y`,
  )
  expect(line({ level: 'warn', msg: 'failed', attempt: 2, err: { message: 'x', stack: 'Error: x\n    at y' } })).toBe(
    `${clock} WARN  failed attempt=2: x`,
  )
})

test.each(['plain text', '{ broken', '{"some":"json"}', ''])(
  'text that is not a log entry is unchanged: %p',
  (text) => {
    expect(readable(text, plain)).toBe(text)
  },
)

test('only a terminal gets colours', () => {
  expect(painter(true)('red', 'text')).toBe('\u001b[31mtext\u001b[39m')
  expect(plain('red', 'text')).toBe('text')
})
