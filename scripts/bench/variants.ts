/** Every variant, in the order of the report. */
import type { Variant } from './measure.js'
import { eventFlow, type LoadKind, type Setup } from './variants/eventflow.js'
import { limits } from './variants/limits.js'
import { naive } from './variants/naive.js'
import { peers } from './variants/peers.js'

const BATCHES_OF_100: LoadKind = { connections: 8, batch: 100 }
const BATCHES_OF_500: LoadKind = { connections: 8, batch: 500 }

/**
 * Multiple of the warm-up for processes with little load (at a low rate, or beside others), so that their code is
 * compiled.
 */
const LONG_WARM_UP = 4

const group =
  (name: Variant['group']) =>
  (variant: string, title: string, load: LoadKind, setup: Setup = {}) =>
    eventFlow({ name: variant, group: name, title }, load, setup)

const mainly = group('eventflow')
const feature = group('features')

const openLoop = (rate: number) =>
  eventFlow(
    {
      name: `latency-${rate}`,
      group: 'latency',
      title: `${rate.toLocaleString('en')} single events a second`,
      rate,
      warmUps: LONG_WARM_UP,
    },
    { connections: 256 },
  )

const spread = (ingest: number, workers: number) =>
  eventFlow(
    {
      name: `ingest-${ingest}-workers-${workers}`,
      group: 'workers',
      title: `ingest ${ingest}, workers ${workers}`,
      warmUps: LONG_WARM_UP * workers,
    },
    BATCHES_OF_100,
    { ingest, workers },
  )

export const variants: readonly Variant[] = [
  ...limits,
  naive({ name: 'naive-64', title: 'naive, 64 connections' }, { connections: 64 }),
  naive({ name: 'naive-256', title: 'naive, 256 connections' }, { connections: 256 }),
  naive({ name: 'naive-batch-100', title: 'naive, batches of 100' }, BATCHES_OF_100),

  mainly('single-1', 'EventFlow, 1 connection', { connections: 1 }),
  mainly('single-64', 'EventFlow, 64 connections', { connections: 64 }),
  mainly('single-256', 'EventFlow, 256 connections', { connections: 256 }),
  mainly('batch-100', 'EventFlow, batches of 100', BATCHES_OF_100),
  mainly('batch-500', 'EventFlow, batches of 500', BATCHES_OF_500),
  mainly('ndjson-500', 'EventFlow, NDJSON of 500', { ...BATCHES_OF_500, ndjson: true }),

  feature('plain', 'batches of 500, not enriched', { ...BATCHES_OF_500, type: 'bench.plain' }),
  feature('handled', 'batches of 500, with a handler', { ...BATCHES_OF_500, type: 'bench.handled' }),
  feature('unscraped', 'batches of 500, metrics not read', BATCHES_OF_500, { scraped: false }),
  feature('silent', 'batches of 500, nothing logged', BATCHES_OF_500, { silent: true }),
  feature('traced', 'batches of 500, one trace in a hundred', BATCHES_OF_500, { traced: 0.01 }),
  feature('traced-all', 'batches of 500, every trace', BATCHES_OF_500, { traced: 1 }),
  feature(
    'door',
    'batches of 500, all checks at the door',
    { ...BATCHES_OF_500, type: 'bench.checked' },
    { guarded: true },
  ),
  feature('plain-64', '64 connections, not enriched', { connections: 64, type: 'bench.plain' }),
  feature(
    'door-64',
    '64 connections, all checks at the door',
    { connections: 64, type: 'bench.checked' },
    { guarded: true },
  ),
  feature('handled-64', '64 connections, with a handler', { connections: 64, type: 'bench.handled' }),
  feature('traced-all-64', '64 connections, every trace', { connections: 64 }, { traced: 1 }),

  ...peers,

  openLoop(1_000),
  openLoop(5_000),

  spread(1, 1),
  spread(1, 2),
  spread(1, 4),
  spread(2, 1),
  spread(2, 2),
  spread(2, 4),
]

/** The variants of `--quick`: enough for the ratios. */
export const QUICK = [
  'limit-http',
  'limit-inserts',
  'naive-64',
  'single-64',
  'batch-100',
  'batch-500',
  'bullmq',
  'pg-boss',
  'graphile',
  'latency-1000',
]
