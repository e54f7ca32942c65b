/** Prometheus is found or fetched, starts with a configuration, and answers queries. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { startPrometheus } from './prometheus.js'

const CACHE = join(import.meta.dirname, '../../../.eventflow/cache/prometheus')

const dir = await mkdtemp(join(tmpdir(), 'eventflow-prometheus-'))
const configFile = join(dir, 'prometheus.yml')
const start = () => startPrometheus({ configFile, dir, port: 0, cacheDir: CACHE, log: () => {} })

afterAll(() => rm(dir, { recursive: true, force: true }))

test('it answers queries, until it is stopped', async () => {
  await writeFile(configFile, 'global: { scrape_interval: 1s }\n')
  const prometheus = await start()
  const answer = await fetch(`${prometheus.url}/api/v1/query?query=vector(42)`)
  expect(await answer.json()).toMatchObject({
    status: 'success',
    data: { result: [{ value: [expect.anything(), '42'] }] },
  })
  await prometheus.stop()
  expect(await prometheus.exited).toBe('code 0')
}, 60_000)

test('an invalid configuration stops the start and is named', async () => {
  await writeFile(configFile, 'scrape_every: 1s\n')
  await expect(start()).rejects.toThrow(/Prometheus exited during its start[\s\S]*field scrape_every not found/)
}, 60_000)
