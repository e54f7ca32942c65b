/** Faults of processes. */
import { setTimeout as delay } from 'node:timers/promises'
import type { FaultKind } from './fault.js'
import type { Program } from './program.js'

/** Killed, and restarted at once, or after its lease has expired. */
const workerKilled: FaultKind = ({ workers }, random) => {
  const worker = random.pick(workers)
  const downMs = random.next() < 0.5 ? 200 : random.between(500, 12_000)
  return {
    name: 'worker: kill -9',
    ...befalls(worker),
    async run(struck) {
      struck()
      await restarted(worker, 'SIGKILL', downMs)
    },
  }
}

const workerStopped: FaultKind = ({ workers }, random) => {
  const worker = random.pick(workers)
  return {
    name: 'worker: clean restart',
    ...befalls(worker),
    async run(struck) {
      struck()
      await restarted(worker, 'SIGTERM', 0)
    },
  }
}

/** Frozen for longer than its lease; when it resumes it does not know the time. */
const workerFrozen: FaultKind = ({ workers }, random) => {
  const worker = random.pick(workers)
  const ms = random.between(12_000, 16_000)
  return {
    name: 'worker: frozen longer than its lease',
    ...befalls(worker),
    async run(struck) {
      struck()
      await frozen(worker, ms)
    },
  }
}

const workerPaused: FaultKind = ({ workers }, random) => {
  const worker = random.pick(workers)
  const ms = random.between(500, 4_000)
  return { name: 'worker: frozen for a moment', ...befalls(worker), run: () => frozen(worker, ms) }
}

/** Frozen, and another process is started under its id; then both run, until the other one ends. */
const workerDoubled: FaultKind = (stack, random) => {
  const worker = random.pick(stack.workers)
  const [aloneMs, togetherMs] = [random.between(0, 3_000), random.between(500, 4_000)]
  return {
    name: 'worker: started again beside its own zombie',
    ...befalls(worker),
    async run(struck) {
      const twin = await stack.twinOf(worker)
      struck()
      worker.signal('SIGSTOP')
      twin.start()
      await twin.ready(30_000).catch(() => {})
      await delay(aloneMs)
      worker.signal('SIGCONT')
      await delay(togetherMs)
      await twin.stop()
    },
  }
}

const ingestKilled: FaultKind = ({ ingests }, random) => {
  const ingest = random.pick(ingests)
  const downMs = random.between(0, 2_000)
  return {
    name: 'ingest: kill -9',
    ...befalls(ingest),
    async run(struck) {
      struck()
      await restarted(ingest, 'SIGKILL', downMs)
    },
  }
}

const ingestStopped: FaultKind = ({ ingests }, random) => {
  const ingest = random.pick(ingests)
  return {
    name: 'ingest: clean restart',
    ...befalls(ingest),
    async run(struck) {
      struck()
      await restarted(ingest, 'SIGTERM', 0)
    },
  }
}

const ingestFrozen: FaultKind = ({ ingests }, random) => {
  const ingest = random.pick(ingests)
  const ms = random.between(1_000, 8_000)
  return { name: 'ingest: frozen', ...befalls(ingest), run: () => frozen(ingest, ms) }
}

/** Every process in turn, as in a deployment. */
const rollingDeploy: FaultKind = ({ ingests, workers }) => ({
  name: 'all: rolling restart',
  victim: 'all',
  takes: [...ingests, ...workers].map(({ name }) => name),
  async run() {
    for (const program of [...workers, ...ingests]) await restarted(program, 'SIGTERM', 0)
  },
})

export const processFaults: readonly FaultKind[] = [
  ...[workerKilled, workerStopped, workerFrozen, workerPaused, workerDoubled],
  ...[ingestKilled, ingestStopped, ingestFrozen, rollingDeploy],
]

function befalls({ name }: Program) {
  return { victim: name, takes: [name] }
}

/** Resolves when it is ready again, or its time is over: a dependency may be down. */
async function restarted(program: Program, signal: 'SIGKILL' | 'SIGTERM', downMs: number): Promise<void> {
  await program.restart(signal, downMs)
  await program.ready(30_000).catch(() => {})
}

async function frozen(program: Program, ms: number): Promise<void> {
  program.signal('SIGSTOP')
  await delay(ms)
  program.signal('SIGCONT')
}
