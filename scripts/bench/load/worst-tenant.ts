/**
 * A tenant that attacks with the API keys it has: each attack takes as much as it can of a resource that all tenants
 * share, until it is told to stop. For the test that its neighbours are never refused, and for measuring the effect on
 * them.
 */
import { once, setMaxListeners } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

/** The target of the attack, and an API key with every scope. */
export interface Target {
  url: string
  key: string
}

/** The count of each answered status; 0 for a closed connection. */
export type Answers = Map<number, number>

type Attack = (target: Target, stop: AbortSignal, answers: Answers) => Promise<void>

/**
 * How long a refused loop pauses, in milliseconds: without the pause the attacker would only exhaust its own processor.
 */
const PAUSE_MS = 100

/** Repeats `work` on this many lanes. */
async function overAndOver(lanes: number, stop: AbortSignal, answers: Answers, work: () => Promise<Response>) {
  const lane = async () => {
    while (!stop.aborted) {
      const status = await work().then(
        async (response) => {
          await response.arrayBuffer()
          return response.status
        },
        () => 0,
      )
      answers.set(status, (answers.get(status) ?? 0) + 1)
      if (status === 0 || status >= 400) await delay(PAUSE_MS, undefined, { signal: stop }).catch(() => {})
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** Requests of one kind on many connections. */
const requests =
  (lanes: number, method: string, path: string, body?: () => object | Buffer, headers: object = {}): Attack =>
  (target, stop, answers) =>
    overAndOver(lanes, stop, answers, () => {
      const sent = body?.()
      return fetch(target.url + path, {
        method,
        signal: stop,
        headers: {
          authorization: `Bearer ${target.key}`,
          ...(sent && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(sent && { body: Buffer.isBuffer(sent) ? new Uint8Array(sent) : JSON.stringify(sent) }),
      })
    })

/** Connections that send `text`, and then neither send nor read anything; reopened when they are closed. */
const connections =
  (count: number, text: (target: Target) => string, from?: string): Attack =>
  async (target, stop, answers) => {
    const { hostname, port } = new URL(target.url)
    const open = new Set<Socket>()
    const hold = async () => {
      while (!stop.aborted) {
        const socket = connect({ host: hostname, port: Number(port), ...(from && { localAddress: from }) })
        open.add(socket)
        socket.on('error', () => {})
        socket.pause()
        socket.write(text(target))
        await once(socket, 'close', { signal: stop }).catch(() => {})
        socket.destroy()
        open.delete(socket)
        if (stop.aborted) return
        answers.set(0, (answers.get(0) ?? 0) + 1)
        await delay(PAUSE_MS)
      }
    }
    await Promise.all(Array.from({ length: count }, hold))
  }

const requestLine = (method: string, path: string, { url, key }: Target) =>
  `${method} ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\nauthorization: Bearer ${key}\r\n`

let number = 0
const events = (count: number, data: object) => Array.from({ length: count }, () => ({ type: 'bench.plain', data }))
const SCHEMA = {
  type: 'object',
  properties: Object.fromEntries(
    Array.from({ length: 200 }, (_, n) => [
      `p${n}`,
      { type: 'object', properties: { a: { type: 'string', pattern: '^[a-z]{1,20}$' } } },
    ]),
  ),
}
const EIGHT_MIB = 8_388_608

/** Its attacks, by name. */
export const ATTACKS = {
  'bodies that never end': connections(
    24,
    (target) =>
      `${requestLine('POST', '/v1/events/batch', target)}content-type: application/json\r\ncontent-length: ${EIGHT_MIB}\r\n\r\n[${' '.repeat(1_000_000)}`,
  ),
  'answers that are not read': connections(12, (target) =>
    `${requestLine('GET', '/v1/dead-letters?limit=200&status=all', target)}\r\n`.repeat(200),
  ),
  'reads that cost much': requests(30, 'GET', '/v1/dead-letters?group=true&status=all'),
  'searches of everything': requests(20, 'GET', '/v1/events?type=none&limit=200'),
  'reads that wait': requests(200, 'GET', '/v1/events/00000000-0000-7000-8000-000000000000?wait=60s'),
  'schema checks': requests(25, 'POST', '/v1/schemas/bench.worst/check', () => ({ schema: SCHEMA })),
  'large batches': requests(8, 'POST', '/v1/events/batch', () => events(1_000, { text: 'x'.repeat(500) })),
  'batches of what is no event': requests(4, 'POST', '/v1/events/batch', () =>
    Array.from({ length: 1_000 }, () => ({ ['~'.repeat(2_000)]: 1 })),
  ),
  'bodies that inflate': requests(8, 'POST', '/v1/events/batch', () => gzipSync(Buffer.alloc(EIGHT_MIB - 1, ' ')), {
    'content-encoding': 'gzip',
  }),
  'operations without number': requests(10, 'POST', '/v1/dead-letters/replay', () => ({
    filter: { type: 'bench.plain' },
    rate: 100_000,
  })),
  'keys without number': requests(4, 'POST', '/v1/keys', () => ({ name: `key ${number++}`, scopes: ['read'] })),
  'schemas without number': requests(4, 'PUT', `/v1/schemas/bench.worst`, () => ({
    schema: { type: 'object', title: `version ${number++}` },
  })),
  'silent connections': connections(300, () => '', '127.0.0.2'),
} as const satisfies Record<string, Attack>

export type AttackName = keyof typeof ATTACKS

/** Begins attacks; `stop` ends them and returns the answers to each. */
export function attack(target: Target, names: readonly AttackName[]) {
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal)
  const answers = new Map(names.map((name) => [name, new Map() as Answers]))
  const attacks = names.map((name) => ATTACKS[name](target, stopping.signal, answers.get(name)!))
  return {
    async stop(): Promise<Map<AttackName, Answers>> {
      stopping.abort()
      await Promise.all(attacks)
      return answers
    },
  }
}
