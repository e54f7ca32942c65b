/** The spool: what it reported as stored survives any crash of the process, and nothing else appears. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { SealedEvent } from './event.js'
import { openSpool, type Spool } from './spool.js'

const MEGABYTE = 1 << 20
let folder: string
let files = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-spool-'))
})

afterAll(() => rm(folder, { recursive: true }))

test('events come back in order, across a restart, until they are sent', async () => {
  const path = newPath()
  const first = await openSpool(path, MEGABYTE)
  await Promise.all([first.append(events(0, 3)), first.append(events(3, 5))])
  expect(first.waiting).toBe(5)
  await first.advance(await first.head(2))
  await first.close()

  const second = await openSpool(path, MEGABYTE)
  expect(second.waiting).toBe(3)
  expect((await second.head(2)).events).toEqual(events(2, 4))
  const all = await second.head(100)
  expect(all.events).toEqual(events(2, 5))
  await second.advance(all)
  expect(second.waiting).toBe(0)
  expect((await stat(path)).size).toBe(0)
  await second.close()
})

test('a line may be longer than the read buffer', async () => {
  const path = newPath()
  const long = event(1, 'ü'.repeat(MEGABYTE))
  const spool = await openSpool(path, 10 * MEGABYTE)
  await spool.append([event(0), long, event(2)])
  expect((await spool.head(10)).events).toEqual([event(0), long, event(2)])
  await spool.close()
})

test('a full spool reports it, takes nothing, and works again when there is room', async () => {
  const spool = await openSpool(newPath(), 100)
  await spool.append([event(0)])
  await expect(spool.append(events(1, 5))).rejects.toThrow('the spool is full (100 bytes)')
  expect(spool.waiting).toBe(1)
  await spool.advance(await spool.head(10))
  await spool.append([event(5)])
  expect((await spool.head(10)).events).toEqual([event(5)])
  await spool.close()
})

test('any truncation of the file leaves a prefix of what was appended, less what was sent', async () => {
  const step = fc.oneof(
    fc.record({ append: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ send: fc.integer({ min: 1, max: 3 }) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), fc.nat(), async (steps, anywhere) => {
      const path = newPath()
      const spool = await openSpool(path, MEGABYTE)
      let appended = 0
      let sent = 0
      for (const step of steps) {
        if ('append' in step) {
          await spool.append(events(appended, appended + step.append))
          appended += step.append
        } else {
          const head = await spool.head(step.send)
          await spool.advance(head)
          sent += head.events.length
        }
      }
      await spool.close()

      const bytes = await readFile(path)
      const cut = anywhere % (bytes.length + 1)
      await writeFile(path, bytes.subarray(0, cut))
      const again = await openSpool(path, MEGABYTE)
      const waiting = (await again.head(1000)).events
      expect(again.waiting).toBe(waiting.length)
      const from = waiting.length > 0 ? indexOf(waiting[0]!) : sent
      expect(waiting).toEqual(events(from, from + waiting.length))
      expect(from).toBeLessThanOrEqual(sent)
      if (cut === bytes.length) expect([from, from + waiting.length]).toEqual([sent, appended])

      await again.append([event(appended)])
      expect((await again.head(1000)).events).toEqual([...waiting, event(appended)])
      await again.close()
    }),
    { numRuns: 100 },
  )
})

test('damage before the end is not taken for a torn tail', async () => {
  const path = newPath()
  const spool = await openSpool(path, MEGABYTE)
  await spool.append(events(0, 3))
  await spool.close()
  const bytes = await readFile(path)
  bytes[20]! ^= 1
  await writeFile(path, bytes)
  await expect(openSpool(path, MEGABYTE)).rejects.toThrow(/is damaged at byte 0: truncate it there, or move it away/)
})

test('SIGKILL in mid-write: all that was reported is there, in order, and at most one more append', async () => {
  for (const reports of [1, 2, 5]) {
    const path = newPath()
    const { reported, appendSize } = await appendUntilKilled(path, reports)
    const spool = await openSpool(path, 1000 * MEGABYTE)
    const found = (await readAll(spool)).map(indexOf)
    expect(found).toEqual(found.map((_, n) => n))
    expect(found.length).toBeGreaterThanOrEqual(reported)
    expect(found.length).toBeLessThanOrEqual(reported + appendSize)
    await spool.close()
  }
})

test('a full disk in mid-write: the append fails, and nothing half-written stays', async () => {
  const path = newPath()
  const writer = startNode(
    `${OPEN_SPOOL}
    const spool = await openSpool(${JSON.stringify(path)}, 1e9)
    const event = (id, length) => ({ id, json: JSON.stringify({ id, text: 'x'.repeat(length) }) })
    await spool.append([event('e0', 10)])
    const { code } = await spool.append([event('e1', 1_000_000)]).catch((error) => error)
    await spool.append([event('e2', 10)])
    console.log(code)`,
    { fileSizeLimit: true },
  )
  const exited = once(writer, 'exit')
  expect(await text(writer.stdout)).toBe('EFBIG\n')
  // Its output ends before the process does, and the spool is locked while the process lives.
  await exited
  const spool = await openSpool(path, MEGABYTE)
  expect((await readAll(spool)).map(indexOf)).toEqual([0, 2])
  await spool.close()
})

test('a spool belongs to one process at a time', async () => {
  const path = newPath()
  const mine = await openSpool(path, MEGABYTE)
  await expect(openSpool(path, MEGABYTE)).rejects.toThrow(/already in use by this process/)
  const other = startNode(`${OPEN_SPOOL} await openSpool(${JSON.stringify(path)}, 1e6)`)
  const exited = once(other, 'exit')
  expect(await text(other.stderr)).toMatch(`in use by process ${process.pid}`)
  expect(await exited).toEqual([1, null])
  await mine.close()
  await (await openSpool(path, MEGABYTE)).close()
})

const OPEN_SPOOL = `import { openSpool } from ${JSON.stringify(new URL('./spool.js', import.meta.url).href)};`

/**
 * Lets another process append 2 MB at a time, and kills it in the middle of an append after it has reported `reports`
 * of them.
 */
async function appendUntilKilled(path: string, reports: number): Promise<{ reported: number; appendSize: number }> {
  const appendSize = 20
  const writer = startNode(`${OPEN_SPOOL}
    import { writeSync } from 'node:fs'
    const spool = await openSpool(${JSON.stringify(path)}, 1e9)
    const event = (n) => ({ id: 'e' + n, json: JSON.stringify({ id: 'e' + n, data: { text: 'x'.repeat(100_000) } }) })
    for (let n = 0; ; n += ${appendSize}) {
      await spool.append(Array.from({ length: ${appendSize} }, (_, i) => event(n + i)))
      writeSync(1, (n + ${appendSize}) + '\\n')
    }`)
  const exited = once(writer, 'exit')
  let reported = 0
  for await (const line of createInterface(writer.stdout)) {
    reported = Number(line)
    if (reported === reports * appendSize) writer.kill('SIGKILL')
  }
  expect(await exited).toEqual([null, 'SIGKILL'])
  return { reported, appendSize }
}

async function readAll(spool: Spool): Promise<SealedEvent[]> {
  const all: SealedEvent[] = []
  while (spool.waiting > 0) {
    const head = await spool.head(50)
    all.push(...head.events)
    await spool.advance(head)
  }
  return all
}

/** Starts another process; with `fileSizeLimit`, writing beyond a few kilobytes fails as on a full disk. */
function startNode(code: string, { fileSizeLimit = false } = {}) {
  const limit = fileSizeLimit ? 'ulimit -f 8;' : ''
  return spawn('sh', ['-c', `${limit} exec "$0" --input-type=module -e "$1"`, process.execPath, code])
}

function newPath(): string {
  return join(folder, `${files++}.spool`)
}

function events(from: number, to: number): SealedEvent[] {
  return Array.from({ length: to - from }, (_, i) => event(from + i))
}

function event(n: number, content = 'ü\n"\u2028'): SealedEvent {
  return { id: `e${n}`, json: JSON.stringify({ id: `e${n}`, type: 'order.created', data: { content } }) }
}

function indexOf({ id }: SealedEvent): number {
  return Number(id.slice(1))
}
