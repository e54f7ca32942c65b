/** Viewers and waiting requests end with their API key, and take no place when they have gone. */
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { createBootstrapKey, SCOPES, type Scope } from '@eventflow/db'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const ADMIN = `ef_0123456789ab_${createHash('sha256').update('first').digest('hex')}`
const MAX_VIEWERS = 100
const MAX_OF_KEY = 25

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([], { EVENTFLOW_AUTH: 'required' })
  await createBootstrapKey(pipeline.db, ADMIN)
})

afterAll(() => pipeline.stop())

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

async function makeKey(...scopes: Scope[]): Promise<{ id: string; key: string }> {
  const made = await post(`${pipeline.url}/v1/keys`, { name: 'test', scopes }, bearer(ADMIN))
  return (await made.json()) as { id: string; key: string }
}

const revoke = (id: string) => fetch(`${pipeline.url}/v1/keys/${id}`, { method: 'DELETE', headers: bearer(ADMIN) })

const expire = (id: string) =>
  pipeline.db.query(`UPDATE api_keys SET expires_at = clock_timestamp() + interval '100 ms' WHERE key_id = $1`, [id])

const watch = (key: string, init: RequestInit = {}) =>
  fetch(`${pipeline.url}/v1/live`, { ...init, headers: { accept: 'text/event-stream', ...bearer(key) } })

/** An event that is never settled: there is no worker. */
async function accepted(): Promise<string> {
  const sent = await post(`${pipeline.url}/v1/events`, { type: 'note', data: {} }, bearer(ADMIN))
  return ((await sent.json()) as { id: string }).id
}

test('a stream whose key is revoked or expires is told so, and ends; others continue', async () => {
  const staying = new AbortController()
  const other = await watch((await makeKey('read')).key, { signal: staying.signal })
  await Promise.all(
    [revoke, expire].map(async (end) => {
      const { id, key } = await makeKey('read')
      const stream = await watch(key)
      await end(id)
      const told = (await stream.text()).split('\n\n').filter((part) => part !== '')
      expect(told[0]).toMatch(/^event: history\n/)
      const [, problem] = /^event: end\ndata: (.*)$/.exec(told.at(-1)!)!
      expect(JSON.parse(problem!)).toMatchObject({ code: 'unauthorized', status: 401 })
    }),
  )
  const reader = other.body!.getReader()
  for (let i = 0; i < 3; i++) expect((await reader.read()).done).toBe(false)
  staying.abort()
})

test('a waiting request gets no answer if its key was revoked meanwhile', async () => {
  const { id, key } = await makeKey('read')
  const path = `${pipeline.url}/v1/events/${await accepted()}`
  const waiting = fetch(`${path}?wait=6s`, { headers: bearer(key) })
  await until('it is in use', async () => (await fetch(path, { headers: bearer(key) })).status === 200)
  await revoke(id)
  expect((await waiting).status).toBe(401)
})

test('a body that arrives after its key was revoked stores nothing', async () => {
  const { id, key } = await makeKey('ingest')
  const body = '{"type":"late","data":{}}'
  const socket = connect(Number(new URL(pipeline.url).port), '127.0.0.1')
  const answer = new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(`${chunk}`)))
  socket.write(
    `POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n{`,
  )
  const send = () => post(`${pipeline.url}/v1/events`, { type: 'note', data: {} }, bearer(key))
  expect((await send()).status).toBe(202)
  await revoke(id)
  await until('it is refused', async () => (await send()).status === 401)
  socket.write(body.slice(1))
  expect(await answer).toMatch(/^HTTP\/1\.1 401 /)
  socket.destroy()
  const { rows } = await pipeline.db.query(`SELECT count(*)::integer AS n FROM raw_events WHERE type = 'late'`)
  expect(rows[0].n).toBe(0)
})

test('places are for present viewers, and no key has all of them', async () => {
  // HEAD opens no stream.
  for (let i = 0; i <= MAX_VIEWERS; i++) {
    const { status, headers } = await watch(ADMIN, { method: 'HEAD' })
    expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  }
  // These have gone before they are admitted, or while others on their connection are answered first.
  const ask = (path: string, key: string) =>
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${key}\r\n\r\n`
  const waiting = ask(`/v1/events/${await accepted()}?wait=60s`, ADMIN)
  for (let i = 0; i < 20; i++) {
    // A new key has to be looked up first.
    const { key } = await makeKey(...SCOPES)
    const socket = connect(Number(new URL(pipeline.url).port), '127.0.0.1')
    const live = ask('/v1/live', key)
    socket.write(i % 2 ? live : `${waiting}${live.repeat(9)}`, () => socket.destroy())
  }
  const leaving = new AbortController()
  const expectOverloaded = async (key: string) => {
    const refused = await watch(key)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await refused.json()).toMatchObject({ code: 'overloaded' })
  }
  const keys = await Promise.all(Array.from({ length: MAX_VIEWERS / MAX_OF_KEY }, () => makeKey('read')))
  // Unreferenced responses are garbage-collected, and their connections closed.
  const watching: Response[] = []
  for (const { key } of keys) {
    for (let i = 0; i < MAX_OF_KEY; i++) {
      await until('there is room', async () => {
        const response = await watch(key, { signal: leaving.signal })
        if (response.status === 200) watching.push(response)
        return response.status === 200
      })
    }
    await expectOverloaded(key)
  }
  await expectOverloaded(ADMIN)
  expect(watching).toHaveLength(MAX_VIEWERS)
  leaving.abort()
})
