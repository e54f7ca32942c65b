/** A pipeline of real processes that die at crash points, and its checker. */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Attempt,
  type BuildCopy,
  type Clients,
  type CrashPoint,
  checkHistory,
  crashAt,
  createClients,
  createDatabase,
  createRandom,
  describeVerdict,
  type Evidence,
  openJournal,
  type Program,
  type Stack,
  type Step,
  startStack,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, expect } from '@jest/globals'
import { copyOfBuild, places } from './places.js'
import { lookInto } from './traffic.js'

/** How long a program may take to come to a point, on a busy machine and after a start, in milliseconds. */
const POINT_MS = 30_000

export interface Load {
  /** Between two requests of a client, in milliseconds. */
  paceMs: number
  /** What is special about the `i`th event in the `n`th request of a client. */
  moodOf(n: number, i: number): Pick<Step, 'mood' | 'at'>
}

const LIGHT: Load = { paceMs: 10, moodOf: () => ({}) }

/** Starts the pipeline before the tests of a file, and stops it after them. */
export function useCrashStage(name: string, given: Record<string, string> = {}) {
  let build: BuildCopy
  let stack: Stack
  let databaseUrl: string
  let clients: Clients
  let unsound = 0
  const attempts: Attempt[] = []

  beforeAll(async () => {
    build = await copyOfBuild(name)
    // A worker that was killed gets its own partitions again, however slow the machine is.
    const settings = { EVENTFLOW_LEASE_SECONDS: '20', ...given }
    databaseUrl = await createDatabase()
    stack = await startStack({ ...places, ...build, ingests: 1, workers: 2, databaseUrl, settings })
    const journal = { write: (attempt: Attempt) => void attempts.push(attempt), close: async () => {} }
    clients = createClients({ urls: stack.urls, journal, random: createRandom(1) })
  }, 60_000)

  // A failed run leaves its folder for inspection.
  afterAll(async () => {
    await stack.stop({ keep: unsound > 0 })
    await build.remove()
  })

  const count = (from: string, ...values: unknown[]) => lookInto(stack).count(from, ...values)

  /** Kills the program at the point; calls `whileDown` with the evidence, and starts it again. */
  async function dies(program: Program, point: CrashPoint, whileDown: (evidence: Evidence) => Promise<void>) {
    const { how, ...evidence } = await crashAt(point, program, stack, POINT_MS)
    try {
      expect(how).toBe('SIGKILL')
      await whileDown(evidence)
    } finally {
      program.start()
    }
    return evidence
  }

  /**
   * Lets three clients send, one request after the other, until `story` has ended; then everything must drain and pass
   * the checker.
   */
  async function underLoad(story: () => Promise<void>, { paceMs, moodOf }: Load = LIGHT) {
    unsound++
    await until('every stream is in use', async () => {
      return (await count('partitions JOIN partition_marks USING (id) WHERE dirty > 0 OR redis_run_id IS NULL')) === 0
    })
    let told = false
    const lane = async (number: number) => {
      for (let n = 0; !told; n++) {
        await clients.send([0, 1, 2].map((i) => ({ key: `lane ${number} ${(n + i) % 30}`, ...moodOf(n, i) })))
        await delay(paceMs)
      }
    }
    const lanes = Promise.all([1, 2, 3].map(lane))
    await story().finally(() => {
      told = true
    })
    await lanes
    await stack.drained()
    const journalFile = `${stack.dir}/journal.ndjson`
    const journal = openJournal(journalFile)
    for (const attempt of attempts) journal.write(attempt)
    await journal.close()
    const verdict = await checkHistory(journalFile, stack.db, stack.directRedis, stack.prefix)
    if (verdict.violations.length > 0) throw new Error(describeVerdict(verdict))
    expect([...stack.ingests, ...stack.workers].flatMap(({ surprises }) => surprises)).toEqual([])
    unsound--
  }

  return {
    get stack() {
      return stack
    },
    get clients() {
      return clients
    },
    get databaseUrl() {
      return databaseUrl
    },
    count,
    dies,
    underLoad,
  }
}
