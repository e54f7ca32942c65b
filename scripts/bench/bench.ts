/** `npm run bench`: measures EventFlow next to the limits of the machine and to other queues. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { drawRates } from './report/rates-chart.js'
import { drawScale } from './report/scale-chart.js'
import { describeResults } from './report/table.js'
import type { Results } from './results.js'
import { type Plan, run } from './run.js'
import { startStack } from './stack.js'
import type { LedgerOptions } from './suites/ledger/ledger.js'
import type { Terminal } from './terminal.js'
import { QUICK, variants } from './variants.js'

interface Options {
  only?: string[]
  rounds: number
  seconds: number
  events: number
  ids: number
  partEvents: number
  retiredEvents: number
  rate: number
  quick?: true
  dataDir: string
  profile?: string
  out: string
}

const FULL = { rounds: 3, seconds: 8, events: 1_000_000 }
const LEDGER = { ids: 2_000_000, partEvents: 1_000, retiredEvents: 50_000, rate: 1_000 }
const BRIEF = { rounds: 1, seconds: 2 }

const NAMES = [
  ...new Set(variants.flatMap(({ group, name }) => [group, name])),
  'idle',
  'watched',
  'walls',
  'readers',
  'reader-scale',
  'scale',
  'ledger',
]

const program = new Command('bench')
  .description('Measures EventFlow, a naive pipeline, other queues and the limits of this machine, side by side.')
  .argument('[names...]', 'the same as --only')
  .option('--only <names...>', `some of: ${NAMES.join(', ')}`)
  .option('--rounds <count>', 'how often each is measured', wholeNumber, FULL.rounds)
  .option('--seconds <seconds>', 'of load in each round', wholeNumber, FULL.seconds)
  .option(
    '--events <count>',
    'of `scale` and `reader-scale`; given alone, only `scale` is run',
    wholeNumber,
    FULL.events,
  )
  .option('--ids <count>', 'in the full bucket of `ledger`', wholeNumber, LEDGER.ids)
  .option('--part-events <count>', 'in each of its parts', wholeNumber, LEDGER.partEvents)
  .option('--retired-events <count>', 'in each part that is removed under load', wholeNumber, LEDGER.retiredEvents)
  .option('--rate <events>', 'a second, beside that', wholeNumber, LEDGER.rate)
  .option('--quick', 'less than two minutes, for the ratios')
  .option('--data-dir <folder>', 'data of the databases while it runs, and a fetched Redis', '.eventflow')
  .option('--profile <folder>', 'leave CPU profiles of ingest and workers in this folder; figures are lower then')
  .option('--out <folder>', 'where the JSON and the chart go', 'docs/bench')
  .addHelpText('after', '\nExample: npm run bench -- --only naive-64 single-64 peers --rounds 5')
  .parse()

const options = program.opts<Options>()
const { plan, name } = readPlan({ ...options, ...(program.args.length > 0 && { only: program.args }) })
const terminal = createTerminal()

const starting = startStack({
  dir: resolve(options.dataDir, 'bench'),
  cacheDir: resolve(options.dataDir, 'cache', 'redis'),
  profileDir: options.profile && resolve(options.profile),
})
const stop = async () => (await starting.catch(() => undefined))?.stop()
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, async () => {
    if (interrupted) return
    interrupted = true
    terminal.say('stopping')
    await stop()
    process.exit(130)
  })
}

try {
  const results = await run(await starting, plan, terminal)
  await stop()
  console.log(`\n${describeResults(results)}\n`)
  await write(results)
  if (results.scale && !results.scale.distribution.even) process.exitCode = 1
} catch (error) {
  if (!interrupted) {
    console.error(error)
    process.exitCode = 1
    await stop()
  }
}

/** Writes the JSON and the charts, and prints their paths. */
async function write(results: Results): Promise<void> {
  const { machine, at, commit, variants: measured, scale, readerScale } = results
  const note = `${machine.cores} × ${machine.cpu}, ${at.slice(0, 10)}, ${commit}`
  const files = new Map([[`${name}.json`, `${JSON.stringify(results, null, 2)}\n`]])
  if (measured.length > 0) files.set(`${name}.svg`, drawRates(measured, `median of ${plan.rounds}, ${note}`))
  if (scale) files.set(`${measured.length > 0 ? `${name}-scale` : name}.svg`, drawScale(scale, note))
  if (readerScale) files.set(`${name}.svg`, drawScale(readerScale, note))
  await mkdir(options.out, { recursive: true })
  for (const [file, content] of files) await writeFile(join(options.out, file), content)
  console.log(`written: ${[...files.keys()].map((file) => join(options.out, file)).join(', ')}`)
}

/** The plan, and the name of its files: a partial run must not overwrite a full one. */
function readPlan({ only, rounds, seconds, events, quick, ...ledger }: Options): { plan: Plan; name: string } {
  const given = (option: string) => program.getOptionValueSource(option) === 'cli'
  if (quick || only) {
    const brief = quick
      ? { rounds: given('rounds') ? rounds : BRIEF.rounds, seconds: given('seconds') ? seconds : BRIEF.seconds }
      : {}
    const chosen = only ?? QUICK
    const unknown = chosen.filter((one) => !NAMES.includes(one))
    if (unknown.length > 0) program.error(`there is no ${unknown.join(', ')}: --only takes ${NAMES.join(', ')}`)
    const settings = { rounds, seconds, ...brief }
    return {
      plan: {
        ...settings,
        warmUpSeconds: settings.seconds / 4,
        variants: variants.filter((variant) => chosen.includes(variant.name) || chosen.includes(variant.group)),
        idle: chosen.includes('idle'),
        watched: chosen.includes('watched'),
        walls: chosen.includes('walls'),
        readers: chosen.includes('readers'),
        scaleEvents: chosen.includes('scale') ? events : 0,
        ...(chosen.includes('reader-scale') && { readerEvents: events }),
        ...(chosen.includes('ledger') && { ledger: ledgerOptions(ledger) }),
      },
      name: only ? (['ledger', 'readers', 'reader-scale'].find((name) => chosen.join() === name) ?? 'part') : 'quick',
    }
  }
  const settings = { rounds, seconds, warmUpSeconds: seconds / 4, scaleEvents: events }
  if (given('events')) {
    return {
      plan: { ...settings, variants: [], idle: false, watched: false, walls: false, readers: false },
      name: `scale-${events}`,
    }
  }
  return { plan: { ...settings, variants, idle: true, watched: false, walls: false, readers: false }, name: 'results' }
}

function ledgerOptions({ ids, partEvents, retiredEvents, rate }: LedgerOptions): LedgerOptions {
  return { ids, partEvents, retiredEvents, rate }
}

/** Redraws a line on a terminal; elsewhere prints only permanent lines. */
function createTerminal(): Terminal {
  const { stdout } = process
  const wipe = () => stdout.isTTY && stdout.write('\r\x1b[2K')
  return {
    say(line) {
      wipe()
      console.log(line)
    },
    now(line) {
      if (stdout.isTTY) stdout.write(`\r\x1b[2K${line.slice(0, stdout.columns - 1)}`)
    },
  }
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new InvalidArgumentError('A whole number from 1 on.')
}
