/** Compares docs/api.md with the service. EVENTFLOW_WRITE_DOCS=1 rewrites it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPipeline } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'
import { apiReference } from './api-reference.js'

const file = join(import.meta.dirname, '../../docs/api.md')

test('the API reference matches the service', async () => {
  const pipeline = await startPipeline([])
  const page = apiReference(await (await fetch(`${pipeline.url}/openapi.json`)).json())
  await pipeline.stop()
  if (process.env.EVENTFLOW_WRITE_DOCS) writeFileSync(file, page)
  expect(readFileSync(file, 'utf8')).toBe(page)
}, 60_000)
