/** Mistakes that the bench refuses before it starts anything. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

test('an unknown name ends it at once, and is reported', async () => {
  const program = fileURLToPath(new URL('./bench.js', import.meta.url))
  const child = spawn(process.execPath, [program, '--only', 'batch-101'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const [[code], said] = await Promise.all([once(child, 'close'), text(child.stderr)])
  expect(code).toBe(1)
  expect(said).toContain('there is no batch-101')
})
