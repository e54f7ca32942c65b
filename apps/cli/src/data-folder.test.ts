/** The data folder belongs to one `up` at a time, and no other program can pretend to be that `up`. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { claimFolder, findRunning } from './data-folder.js'

let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'eventflow-folder-'))
})

afterEach(() => rm(dir, { recursive: true, force: true }))

test('a folder cannot be claimed twice, and other commands find what was started', async () => {
  const claimed = await claimFolder(dir)
  await claimed.tell({ http: 'http://127.0.0.1:8000' })
  await expect(claimFolder(dir)).rejects.toThrow('is already running on')
  expect(await findRunning(dir)).toEqual({ http: 'http://127.0.0.1:8000' })
  await claimed.release()
  expect(await findRunning(dir)).toBeUndefined()
  await (await claimFolder(dir)).release()
})

test('the port does not reveal the token, and a program that listens there later is not mistaken for the owner', async () => {
  const claimed = await claimFolder(dir)
  const file = join(dir, 'up.json')
  const holder = JSON.parse(await readFile(file, 'utf8'))
  // The impostor repeats an answer of the real one, which does not fit another challenge.
  const answer = await text(connect({ host: '127.0.0.1', port: holder.port }).end('hello'))
  expect(answer).toMatch(/^[0-9a-f]{64}$/)
  expect(answer).not.toBe(holder.token)
  await claimed.release()
  const stranger = createServer((socket) => socket.end(answer))
  await new Promise<void>((resolve) => stranger.listen(holder.port, '127.0.0.1', resolve))
  await writeFile(file, JSON.stringify(holder))
  try {
    expect(await findRunning(dir)).toBeUndefined()
    await (await claimFolder(dir)).release()
  } finally {
    stranger.close()
  }
})
