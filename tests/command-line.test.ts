/**
 * The command line as its users see it: runs the commands of docs/cli.md and others unchanged against a real pipeline,
 * and compares the output with tests/transcripts/command-line.txt. If that file is missing it is written, for review.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConsumer, defineEvent, TransientError, Type } from '@eventflow/sdk'
import { insertRows, makeStateful, microsAt, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../..')
const GOLDEN = join(ROOT, 'tests/transcripts/command-line.txt')

const closed = { additionalProperties: false }
const stockMoved = defineEvent({
  type: 'stock.moved',
  schema: Type.Object({ sku: Type.String(), quantity: Type.Integer() }, closed),
  key: ({ sku }) => sku,
})
const orderCreated = defineEvent({
  type: 'order.created',
  schema: Type.Object({ amount: Type.Integer(), currency: Type.String({ default: 'EUR' }) }, closed),
  retry: { attempts: 1 },
  handle: async ({ data }) => {
    if (data.amount === 0) throw new TransientError('the till is away')
  },
})

const invoicing = defineConsumer({
  name: 'invoicing',
  events: ['order.created', 'stock.moved'],
  retry: { attempts: 1 },
  handle: async ({ data }) => {
    if (data.amount === 30) throw new TransientError('the printer is away')
  },
})

/** Commands of docs/cli.md that are not run here: they need programs that not every machine has. */
const ELSEWHERE = /^(zcat |eventflow completion fish)/

/**
 * Commands that run until they are stopped: what happens meanwhile, and how many lines they have printed before and
 * after.
 */
const FOLLOWING: Record<string, { meanwhile: string; lines: [before: number, after: number] }> = {
  'eventflow tail --status failed': {
    meanwhile: `eventflow send --type order.created --id order-6 --data '{"amount": "little"}' --wait`,
    lines: [3, 4],
  },
  'eventflow log read --group billing --from earliest --follow --json': {
    meanwhile: `eventflow send --type order.created --id order-7 --data '{"amount": 70}' --wait`,
    lines: [4, 5],
  },
}

/** Prepares the data that the commands of the document use. */
const BEFORE = `
eventflow send --type order.created --id order-1 --correlation-id trip-1 --data '{"amount": 10}' --wait
eventflow send --type order.created --id order-2 --correlation-id trip-1 --causation-id order-1 --data '{"amount": "much"}' --wait
eventflow send --type order.created --id order-3 --correlation-id trip-1 --causation-id order-2 --data '{"amount": 30}' --wait
eventflow send orders.json`
const AFTER = `
eventflow dlq replay --filter type=order.created --schema-version 9 --dry-run
eventflow dlq replay --filter id=$(eventflow dlq show order-5 --json | cut -d'"' -f4) --schema-version 1 --yes
eventflow dlq discard --filter error-class=TransientError --reason 'sent by a broken test' --yes
eventflow send --type stock.moved --data '{"sku": 1}' --wait
eventflow send --typ stock.moved
eventflow schemas register order.created closed.json
eventflow schemas compatibility order.created SOME
eventflow keys create --tenant acme --name shop --scopes ingest,all
eventflow groups show none
eventflow windows results none
eventflow windows results revenue-by-hour --from soon
eventflow groups reset invoicing --to soon
eventflow groups dlq invoicing replay --all
eventflow groups delete invoicing
eventflow completion bash
eventflow completion zsh | diff - <(eventflow completion bash)
eventflow completion fish | grep -e '_from dlq;.* -a ' -e '-l status'
eventflow completion tcsh
eventflow sql "SELECT status, count(*) FROM events GROUP BY status ORDER BY status"
eventflow events get order-1 --url http://127.0.0.1:1`

const linesOf = (text: string) => text.trim().split('\n')

const documented = [...readFileSync(join(ROOT, 'docs/cli.md'), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)]
  .flatMap(([, block]) => linesOf(block!))
  .filter((line) => !ELSEWHERE.test(line))

let folder: string
let pipeline: TestPipeline

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-command-line-'))
  const put = (file: string, content: unknown) => writeFile(join(folder, file), JSON.stringify(content))
  await put('orders.json', [
    { id: 'order-4', type: 'order.created', partitionkey: 'DTW', data: { amount: 0 } },
    { id: 'order-5', type: 'order.created', dataschema: '/v1/schemas/order.created/versions/7', data: { amount: 50 } },
  ])
  await put('events.ndjson', { type: 'stock.moved', data: { sku: 'cup-red', quantity: 1 } })
  await put('closed.json', { type: 'object', properties: { amount: { type: 'string' } }, ...closed })
  pipeline = await startPipeline([stockMoved, orderCreated], {}, [invoicing])
  await fillWindows()
  await pipeline.startWorker()
})

/** A window and a join with a row of each kind. */
async function fillWindows(): Promise<void> {
  const { db } = pipeline
  const group_id = await makeStateful(db, { name: 'revenue-by-hour', kind: 'window', types: ['payment.captured'] })
  const row = { group_id, generation: 1, partition: 0, tenant_id: 'default', key: 'user-7' }
  const [from, to] = ['2026-01-31T10:00:00Z', '2026-01-31T11:00:00Z']
  const [at, end] = [microsAt('11:00:00'), microsAt('12:00:00')]
  const result = { count: 2, total: 19.9 }
  await insertRows(db, 'window_results', [{ ...row, start_at: from, end_at: to, result }])
  await insertRows(db, 'window_state', [
    { ...row, start_at: at, first_open: at, end_at: end, close_at: end, state: { count: 1, total: '5' } },
  ])
  await insertRows(db, 'group_watermarks', [
    { group_id, generation: 1, partition: 0, tenant_id: 'default', watermark: microsAt('11:30:00') },
  ])
  const event = { seq: 0, event_id: '0190b2c4-0000-7000-8000-000000000000', type: 'payment.captured', position: 0 }
  await insertRows(db, 'late_events', [{ ...row, ...event, occurred_at: from, watermark: '2026-01-31T11:30:00Z' }])
  const joinId = await makeStateful(db, { name: 'payments-with-users', kind: 'join', types: ['payment.captured'] })
  await insertRows(db, 'join_rows', [
    { ...row, group_id: joinId, side: 'left', at, seq: 0, expires_at: end, event: {} },
  ])
}

afterAll(async () => {
  await pipeline?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Runs a line as a shell does, with `eventflow` installed. Returns its output, and its exit code. */
async function run(line: string): Promise<string> {
  const following = FOLLOWING[line]
  const shell = start(line)
  if (!following) return shell.ended
  const [before, after] = following.lines
  try {
    await until('it shows what was there', async () => shell.lines() >= before)
    const other = await run(following.meanwhile)
    await until('it shows what has come', async () => shell.lines() >= after)
    shell.interrupt()
    return `${await shell.ended}\n${other}`
  } finally {
    shell.interrupt()
  }
}

function start(line: string) {
  const env = {
    ...{ PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC' },
    ...{ EVENTFLOW_URL: pipeline.url, DATABASE_URL: pipeline.databaseUrl },
  }
  const program = `eventflow() { "${process.execPath}" "${ROOT}/apps/cli/eventflow.js" "$@"; }\n${line}`
  // A process group, which is what a terminal interrupts.
  const child = spawn('bash', ['-c', program], { cwd: folder, env, timeout: 60_000, detached: true })
  const [printed, noted] = [child.stdout, child.stderr].map((stream) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk) => chunks.push(chunk))
    return () => Buffer.concat(chunks).toString()
  })
  return {
    /** The number of lines printed so far. */
    lines: () => printed!().split('\n').length - 1,
    ended: once(child, 'close').then(([code, signal]) => {
      const end = code === 0 ? '' : `[exit code ${code ?? signal}]\n`
      return `$ ${line}\n${normalised(printed!() + noted!())}${end}`
    }),
    interrupt() {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGINT')
    },
  }
}

const ids = new Map<string, string>()

/** The output without what differs in each run: ids, times, positions, durations, ports, and column widths. */
function normalised(text: string): string {
  return (
    text
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => {
        if (!ids.has(id)) ids.set(id, `<id ${ids.size + 1}>`)
        return ids.get(id)!
      })
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
      .replaceAll(/(?<="position":")[^"]+/g, '<position>')
      .replaceAll(/(?<=--from )c[\w-]{40,}/g, '<cursor>')
      .replaceAll(/\b\d[\d.,]* (ms|s)\b/g, '<a while>')
      .replaceAll(pipeline.url, 'http://127.0.0.1:8000')
      .replaceAll(/ {2,}/g, '  ')
      .replaceAll(/ +$/gm, '')
      // Two lanes may settle in either order.
      .replaceAll(/^( {2}\d+ {2}worker-\d+) {2}\d+ {2}\d+/gm, '$1  <position>  <position>')
      .replaceAll(/^( {2}\d+) {2}[1-9]\d*(?= {2}0 {2}\d+ {2}\d+$)/gm, '$1  <position>')
  )
}

test('the commands of the documentation, and others, print and exit as recorded', async () => {
  expect(documented.length).toBeGreaterThan(15)
  const transcript: string[] = []
  for (const line of [...linesOf(BEFORE), ...documented, ...linesOf(AFTER)]) {
    transcript.push(await run(line))
    // Everything that a command has sent or replayed is settled before the next one runs.
    await pipeline.drained()
  }
  const printed = transcript.join('\n')
  if (!existsSync(GOLDEN)) {
    writeFileSync(GOLDEN, printed)
    throw new Error(`${GOLDEN} was not there, and is now: look at it`)
  }
  expect(printed).toBe(readFileSync(GOLDEN, 'utf8'))
}, 240_000)
