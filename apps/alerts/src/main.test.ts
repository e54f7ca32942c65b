/** The monitor as a separate process: it reveals no secret, and stops when it is told to. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createDatabase, redisUrl } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

const MAIN = join(import.meta.dirname, 'main.js')
const SECRET = `whsec_${Buffer.alloc(24, 'canary').toString('base64')}`

const start = (env: Record<string, string>) =>
  spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH, DATABASE_URL: 'postgres://db', REDIS_URL: 'redis://cache', ...env },
  })

test('a webhook without a secret stops the start, and names the setting', async () => {
  const child = start({ EVENTFLOW_ALERT_WEBHOOK_URL: 'http://127.0.0.1:1/canary' })
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
  expect(said).toMatch(/EVENTFLOW_ALERT_WEBHOOK_SECRET is missing/)
  expect(code).toBe(1)
})

test('it watches, tries to send, and stops in order while the receiver is down', async () => {
  const child = start({
    DATABASE_URL: await createDatabase(),
    REDIS_URL: redisUrl(),
    EVENTFLOW_ALERT_WEBHOOK_URL: 'http://127.0.0.1:1/canary',
    EVENTFLOW_ALERT_WEBHOOK_SECRET: SECRET,
    EVENTFLOW_ALERT_AFTER_SECONDS: '0',
  })
  const exited = once(child, 'exit')
  let said = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    said += chunk
    if (said.includes('alert: no worker is running') && !child.killed) child.kill('SIGTERM')
  }
  expect(await exited).toEqual([0, null])
  expect(said).not.toMatch(/canary|Y2FuYXJ5/)
})
