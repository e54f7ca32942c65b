/**
 * Every crash point of ingest and of the pipeline in a worker: the process dies there under light load, restarts, and
 * nothing is lost, duplicated or reordered. Those of consumer groups are in `group-crash-points.long.test.ts`.
 */
import { INGEST_CRASH_POINTS, until, WORKER_CRASH_POINTS } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'
import { useCrashStage } from './crash-stage.js'
import { ingestProofs, workerProofs } from './proofs.js'

const stage = useCrashStage('crash-points')

test.each(Object.entries(INGEST_CRASH_POINTS))(
  'ingest dies: %s',
  async (name, point) => {
    const [ingest] = stage.stack.ingests
    if (point.text === 'mark-dirty') {
      await until('no mark is there', async () => (await stage.count('partition_marks WHERE dirty > 0')) === 0)
      await stage.stack.directRedis.config('SET', 'maxmemory', '1')
    }
    await stage.underLoad(async () => {
      await stage
        .dies(ingest!, point, async (evidence) => {
          await ingestProofs(stage.stack)[name as keyof typeof INGEST_CRASH_POINTS](evidence)
        })
        .finally(() => stage.stack.directRedis.config('SET', 'maxmemory', '0'))
      await ingest!.ready()
    })
  },
  60_000,
)

type WorkerCrashPoint = keyof typeof WORKER_CRASH_POINTS

/** A claimed entry was delivered to a worker that died; a suspect was delivered to two. So these follow each other. */
const SUSPECTED: readonly WorkerCrashPoint[] = [
  'entries are delivered, and on the way',
  'entries are claimed, and on the way',
  'a suspect is recorded',
]
const others = (Object.keys(WORKER_CRASH_POINTS) as WorkerCrashPoint[]).filter((name) => !SUSPECTED.includes(name))
const deaths = [...others.map((name) => [name]), SUSPECTED]

test.each(deaths.map((names) => [names.join('; then '), names] as const))(
  'a worker dies: %s',
  async (_, names) => {
    const [worker] = stage.stack.workers
    await stage.underLoad(async () => {
      for (const name of names) await stage.dies(worker!, WORKER_CRASH_POINTS[name], workerProofs(stage.stack)[name])
      await worker!.ready()
    })
  },
  60_000,
)

test.each(['ingest', 'worker'])(
  'a start survives a connection that is cut while the %s reads the schemas',
  async (kind) => {
    const program = kind === 'ingest' ? stage.stack.ingests[0]! : stage.stack.workers[0]!
    const link = stage.stack.links.get(`${program.name} postgres`)!
    const surprises = [...program.surprises]
    await program.end('SIGTERM')
    link.mode = { kind: 'lose answer', text: 'read-new-schemas' }
    program.start()
    await until('an answer is lost', () => link.mode.kind === 'pass')
    await program.ready()
    expect(program.surprises).toEqual(surprises)
  },
  60_000,
)
