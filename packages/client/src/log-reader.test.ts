/** The reader of the log, when requests fail or the answer is not what it should be. */
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createLogReader, type LogReader } from './log-reader.js'
import { refuse, sendJson, startServer, type TestServer } from './test-server.js'

let server: TestServer
let reader: LogReader

beforeEach(async () => {
  server = await startServer()
  reader = createLogReader({ url: server.url, baseDelayMs: 1, giveUpAfterMs: 200 })
})

afterEach(async () => {
  await reader.close()
  await server.close()
})

const page = (next: string, more: boolean, ...ids: string[]) => ({ items: ids.map((id) => ({ id })), next, more })

/** Answers the next requests with these bodies. */
const answers = (...bodies: object[]) =>
  server.faults.push(
    ...bodies.map((body) => (_: unknown, response: Parameters<typeof sendJson>[0]) => sendJson(response, 200, body)),
  )

const paths = () => server.requests.map(({ url }) => url)

test('it goes from page to page, tries again what can succeed, and passes over pages without events', async () => {
  answers(page('c1', true, 'a'), page('c2', true))
  server.faults.push(refuse(503), (_, response) => void response.destroy())
  answers(page('c3', false, 'b'))
  const read: string[] = []
  for await (const { items } of reader.log({ type: ['x', 'y z'], group: 'g', limit: 7, partition: 3 })) {
    read.push(...items.map(({ id }) => id))
  }
  expect(read).toEqual(['a', 'b'])
  const rest = 'type=x&type=y+z&limit=7&partition=3'
  expect(paths().map((path) => new URL(path, server.url).searchParams.get('from'))).toEqual([
    null,
    'c1',
    'c2',
    'c2',
    'c2',
  ])
  expect(paths()[0]).toBe(`/v1/log?type=x&type=y+z&group=g&limit=7&partition=3`)
  expect(paths()[1]).toBe(`/v1/log?${rest}&from=c1`)
})

test('at the end of the log it gives the last page, also without events; following, it waits there until it is stopped', async () => {
  answers(page('c1', false))
  const pages = []
  for await (const read of reader.log()) pages.push(read)
  expect(pages).toEqual([page('c1', false)])

  answers(page('c1', false, 'a'), page('c2', false), page('c3', false, 'b'))
  const stop = new AbortController()
  server.fault = () => stop.abort()
  const ids: string[] = []
  for await (const { items } of reader.log({}, { follow: true, signal: stop.signal }))
    ids.push(...items.map(({ id }) => id))
  expect(ids).toEqual(['a', 'b'])
  expect(paths().slice(1)).toEqual([
    '/v1/log',
    '/v1/log?from=c1&wait=30000ms',
    '/v1/log?from=c2&wait=30000ms',
    '/v1/log?from=c3&wait=30000ms',
  ])
})

test('what the server refuses is an error with its reason, at once', async () => {
  server.faults.push(refuse(410, { code: 'log-removed', title: 'gone' }))
  await expect(reader.log({ from: 'c0' }).next()).rejects.toMatchObject({
    name: 'RequestFailed',
    problem: { code: 'log-removed' },
  })
  server.faults.push(refuse(409, { code: 'group-conflict' }))
  await expect(reader.commitPositions('g', { next: 'c' })).rejects.toMatchObject({ problem: { status: 409 } })
  server.faults.push(refuse(404, { code: 'route-not-found' }))
  await expect(reader.groupPositions('g')).rejects.toMatchObject({ problem: { status: 404 } })
  expect(server.requests).toHaveLength(3)
})

test('an answer that is no page is not taken for one, and a server that stays away is given up', async () => {
  answers({ hello: 'world' })
  await expect(reader.page()).rejects.toThrow('not from an EventFlow server')
  server.fault = refuse(503)
  await expect(reader.page()).rejects.toThrow(/tried \d+ times/)
})

test('a commit is sent again until it is answered; a group that there is not is undefined', async () => {
  server.faults.push((_, response) => void response.destroy())
  answers({ name: 'a b', positions: { 0: 'p1' } })
  expect(await reader.commitPositions('a b', { next: 'c', reset: true })).toEqual({ 0: 'p1' })
  expect(server.requests.map(({ method, url, text }) => [method, url, text])).toEqual(
    Array(2).fill(['PUT', '/v1/groups/a%20b/positions', '{"next":"c","reset":true}']),
  )
  server.faults.push(refuse(404, { code: 'group-not-found' }))
  expect(await reader.groupPositions('none')).toBeUndefined()
})
