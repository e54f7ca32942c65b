/** Every metric of ours is on a dashboard, or in a rule that is on one. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIngestMetrics, createWorkerMetrics } from '@eventflow/runtime'
import { expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../../..')

const textsIn = (folder: string) =>
  readdirSync(join(ROOT, folder)).map((file) => readFileSync(join(ROOT, folder, file), 'utf8'))

test.each([
  ['ingest', createIngestMetrics([])],
  ['worker', createWorkerMetrics('worker-1', [])],
])('every metric of the %s', async (_, { registry }) => {
  const names = (await registry.getMetricsAsJSON()).map(({ name }) => name).filter((name) => /^eventflow_/.test(name))
  expect(names.length).toBeGreaterThan(10)
  const shown = [...textsIn('grafana/dashboards'), ...textsIn('prometheus/rules')].join('\n')
  expect(names.filter((name) => !shown.includes(name))).toEqual([])
})
