/**
 * The rules of Prometheus: valid, each alert tested by promtool in both directions, and each with a section in the
 * runbook.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findPrometheus } from '@eventflow/local'
import { beforeAll, expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../../..')
const RULES = join(ROOT, 'prometheus/rules')
const TESTS = join(ROOT, 'prometheus/tests')
const CACHE = join(ROOT, '.eventflow/cache/prometheus')

const rulesText = readdirSync(RULES)
  .map((file) => readFileSync(join(RULES, file), 'utf8'))
  .join('\n')
const testsText = readdirSync(TESTS)
  .map((file) => readFileSync(join(TESTS, file), 'utf8'))
  .join('\n')
const operating = readFileSync(join(ROOT, 'docs/operating.md'), 'utf8')

const alerts = [...rulesText.matchAll(/^ +- alert: (\w+)$([\s\S]*?)(?=^ +- alert|^ +- name|$(?![\s\S]))/gm)].map(
  ([, name, text]) => ({ name: name!, text: text! }),
)
const names = alerts.map(({ name }) => name)

let promtool = ''

beforeAll(async () => {
  promtool = (await findPrometheus(CACHE, () => {})).promtool
}, 60_000)

/** The output of promtool, and whether it succeeded. */
function ask(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(promtool, args, { encoding: 'utf8' })
  return { ok: status === 0, output: `${stdout}${stderr}` }
}

test.each(['prometheus.yml', 'local.yml'])('%s and its rules are valid', (file) => {
  const { ok, output } = ask('check', 'config', join(ROOT, 'prometheus', file))
  expect({ ok, output }).toEqual({ ok: true, output: expect.stringContaining('is valid') })
})

test.each(readdirSync(TESTS))(
  'promtool: %s',
  (file) => {
    const { ok, output } = ask('test', 'rules', join(TESTS, file))
    expect({ ok, output }).toEqual({ ok: true, output: expect.stringContaining('SUCCESS') })
  },
  60_000,
)

test('promtool detects an alert that does not fire', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'eventflow-rules-'))
  await cp(join(ROOT, 'prometheus'), dir, { recursive: true })
  const alertsFile = join(dir, 'rules/alerts.yml')
  const changed = (await readFile(alertsFile, 'utf8')).replace('postgres"} == 0', 'postgres"} == 2')
  await writeFile(alertsFile, changed)
  const { ok, output } = ask('test', 'rules', join(dir, 'tests/dependencies.yml'))
  expect({ ok, output }).toEqual({ ok: false, output: expect.stringMatching(/EventFlowPostgresAway[\s\S]*got:\[\]/) })
  await rm(dir, { recursive: true })
})

test('each alert is tested where it fires and where it does not', () => {
  const tested = (pattern: string) =>
    new Set([...testsText.matchAll(new RegExp(pattern, 'g'))].map((match) => match[1]))
  const firing = tested('alertname: (\\w+)\\n +eval_time: \\w+\\n +exp_alerts')
  const silent = tested('\\{ alertname: (\\w+), eval_time: \\w+ \\}')
  expect(names.filter((name) => !firing.has(name) || !silent.has(name))).toEqual([])
})

test('each alert has a severity, a description with figures, and a link to the runbook', () => {
  for (const { name, text } of alerts) {
    expect(text).toMatch(/severity: (critical|warning|info) /)
    expect(text).toMatch(/summary: \S/)
    expect(text).toMatch(/description: >-\n\s+\S/)
    expect(text).toContain(`runbook_url: docs/operating.md#${name.toLowerCase()}\n`)
  }
})

test('the runbook has a section for each alert, and for nothing else', () => {
  const runbook = /^## Alerts and runbooks$([\s\S]*?)^## /m.exec(operating)![1]!
  expect([...runbook.matchAll(/^### (\w+)$/gm)].map((match) => match[1])).toEqual(names)
})
