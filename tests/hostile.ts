/** The service for the hostile suites: sends their inputs, checks each answer, and counts the results. */
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect } from '@jest/globals'
import fc from 'fast-check'
import { type Answer, readContract } from './contract.js'
import { unstalled } from './unstalled.js'

/** Cases of each kind in every run. */
export const RUNS = 150

export const ROUTES = { '/v1/events': 'application/json', '/v1/events/batch': 'application/x-ndjson' }
export type Route = keyof typeof ROUTES

interface Refusal {
  code: ProblemCode
  status: number
  detail: string
}

type Door = Awaited<ReturnType<typeof openDoor>>

/**
 * Starts a pipeline for the tests of a file, with small limits for bodies and batches. It is available once they run.
 */
export function startHostile(): { pipeline: TestPipeline; door: Door } {
  const started = {} as { pipeline: TestPipeline; door: Door }
  beforeAll(async () => {
    const settings = { EVENTFLOW_BODY_LIMIT_BYTES: '100000', EVENTFLOW_BATCH_LIMIT: '20' }
    started.pipeline = await startPipeline([], settings)
    started.door = await openDoor(started.pipeline)
  })
  afterAll(() => started.pipeline.stop())
  return started
}

/** Wraps a pipeline that answers without an API key. */
async function openDoor(pipeline: TestPipeline) {
  const contract = await readContract(pipeline.url)
  const refused = new Map<ProblemCode, number>()
  let accepted = 0

  function expectProblem(problem: Refusal) {
    expect(Object.keys(PROBLEMS)).toContain(problem.code)
    expect(problem.status).toBe(PROBLEMS[problem.code].status)
    expect(problem.status).toBeGreaterThanOrEqual(400)
    expect(problem.status).toBeLessThan(500)
    expect(problem.detail).toMatch(/./)
  }

  /** Checks that an answer is a problem, and counts it. */
  function expectRefusal(status: number, problem: Refusal) {
    expectProblem(problem)
    expect(status).toBe(problem.status)
    refused.set(problem.code, (refused.get(problem.code) ?? 0) + 1)
  }

  /** Checks that an answer is one that a client can work with. */
  function expectAnswer({ status, body }: Pick<Answer, 'status' | 'body'>) {
    if (status >= 400) expectRefusal(status, body)
  }

  async function sendOnce(route: Route, body: string | Uint8Array, headers: Record<string, string>) {
    const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body }
    const { status, body: answer } = await contract.ask(route, init)
    if (status >= 400) {
      expectRefusal(status, answer)
      return new Map<number, string>()
    }
    if (route === '/v1/events') {
      expect(status).toBe(202)
      if (!answer.duplicate) accepted++
      return new Map([[0, answer.id as string]])
    }
    expect(status).toBe(200)
    accepted += answer.accepted
    for (const { status, error } of answer.items) if (status === 'rejected') expectProblem(error)
    // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answers.
    const taken = answer.items.filter(({ status }: any) => status === 'accepted')
    return new Map<number, string>(taken.map(({ index, id }: { index: number; id: string }) => [index, id]))
  }

  return {
    contract,
    expectRefusal,
    expectAnswer,
    /** How often each code was answered. */
    refused,
    /** How many events were accepted. */
    accepted: () => accepted,
    /**
     * Sends the input, and expects a prompt answer that a client can work with. Returns the ids of accepted events, by
     * their places.
     */
    send: (route: Route, body: string | Uint8Array, headers: Record<string, string> = {}) =>
      unstalled(() => sendOnce(route, body, headers)),
    /** Checks that an event has the data that was sent, as text: the same names in the same order, the same numbers. */
    async expectKept(id: string, data: unknown) {
      const { body: event } = await contract.ask(`/v1/events/${id}`)
      expect(JSON.stringify(event.data)).toBe(JSON.stringify(data))
    },
  }
}

/** Checks each case. */
export const holds = <Case>(cases: fc.Arbitrary<Case>, check: (one: Case) => Promise<void>) =>
  fc.assert(fc.asyncProperty(cases, check), {
    numRuns: RUNS,
    interruptAfterTimeLimit: 25_000,
    markInterruptAsFailure: true,
  })

export const route = fc.constantFrom<Route>('/v1/events', '/v1/events/batch')
/** Any code points, including NUL and unpaired surrogates. */
export const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)), maxLength: 10 }),
  fc.constantFrom(
    "'; DROP TABLE raw_events --",
    '\r\nSet-Cookie: a=b',
    '%n%s',
    '../../etc/passwd',
    '__proto__',
    'constructor',
    'toString',
  ),
)
export const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  text,
  fc.double(),
  fc.constantFrom(null, true, '', 0, -1, 2 ** 53, 1e300, [], {}),
)
export const event = fc.record({ type: fc.constant('note.taken'), data: fc.dictionary(text, value, { maxKeys: 5 }) })
export const encoded = event.map((sent) => new Uint8Array(Buffer.from(JSON.stringify(sent))))

/** Bytes with a random change. */
export const mutated = (bytes: fc.Arbitrary<Uint8Array>) =>
  fc
    .tuple(
      bytes,
      fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'cut', 'repeat')), {
        minLength: 1,
        maxLength: 4,
      }),
    )
    .map(([original, changes]) => {
      let sent = [...original]
      for (const [place, byte, what] of changes) {
        const at = place % (sent.length + 1)
        if (what === 'set') sent[at] = byte
        else if (what === 'insert') sent.splice(at, 0, byte)
        else if (what === 'cut') sent.splice(at, 1 + (byte % 8))
        else sent = [...sent.slice(0, at), ...sent.slice(Math.max(0, at - byte))]
      }
      return Uint8Array.from(sent)
    })
