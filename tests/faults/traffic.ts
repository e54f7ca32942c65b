/** Reads what passed over a link, and compares it with what the servers have. */
import { CONSUMER_GROUP } from '@eventflow/core'
import { streamKey } from '@eventflow/redis'
import { PARTITIONS, type Stack } from '@eventflow/testkit'

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const all = (pattern: string, text: string) => [...new Set([...text.matchAll(new RegExp(pattern, 'g'))].map(last))]
const last = (match: RegExpMatchArray) => match.at(-1)!

/** The ids in requests to Postgres. */
export const uuids = (text: string) => all(UUID, text)

/** The ids of the events in entries of streams. */
export const eventIds = (text: string) => all(`"id":"(${UUID})"`, text)

/** The keys of the crash stage among the values of requests to Postgres. */
export const keys = (text: string) => all('lane \\d+ \\d+', text)

/** The lists of whole numbers among the values of requests to Postgres. */
export const arrays = (text: string): number[][] =>
  [...text.matchAll(/\{("\d+"(?:,"\d+")*)\}/g)].map(([, numbers]) => JSON.parse(`[${numbers}]`).map(Number))

/**
 * The entries named by a command to Redis or its reply, each with its stream before its id: two streams may have the
 * same id.
 */
export function entriesIn(text: string): string[] {
  let stream: string | undefined
  return [...text.matchAll(/(\S+:events)\r|(\d{13}-\d+)\r/g)].flatMap(([, key, id]) => {
    stream = key ?? stream
    return id ? [`${stream} ${id}`] : []
  })
}

/** The id of an entry without its stream. */
export const idOf = (entry: string) => entry.split(' ')[1]!

/** Looks into the tables and the streams of a stack. */
export function lookInto(stack: Stack) {
  async function count(from: string, ...values: unknown[]): Promise<number> {
    return (await stack.db.query(`SELECT count(*)::integer AS count FROM ${from}`, values)).rows[0].count
  }

  async function eachStream<Found>(look: (key: string) => Promise<Found[]>): Promise<Found[]> {
    const keys = Array.from({ length: PARTITIONS }, (_, partition) => streamKey(stack.prefix, partition))
    return (await Promise.all(keys.map(look))).flat()
  }

  return {
    count,

    rowsIn: (table: string, ids: readonly string[]) => count(`${table} WHERE event_id = ANY($1)`, ids),

    async inStreams(): Promise<{ entries: string[]; events: string[] }> {
      const found = await eachStream(async (key) =>
        (await stack.directRedis.xrange(key, '-', '+')).map(([id, fields]) => ({ entry: `${key} ${id}`, fields })),
      )
      const events = found.flatMap(({ fields }) => eventIds(fields.join()))
      return { entries: found.map(({ entry }) => entry), events }
    },

    /** The entries delivered to the first worker's lanes and not acknowledged, and how often each was delivered. */
    async inHand(): Promise<{ entry: string; times: number }[]> {
      const { name } = stack.workers[0]!
      return eachStream(async (key) => {
        const pending = await stack.directRedis.xpending(key, CONSUMER_GROUP, '-', '+', 10_000)
        return (pending as [string, string, number, number][])
          .filter(([, consumer]) => consumer.startsWith(`${name}:`))
          .map(([id, , , times]) => ({ entry: `${key} ${id}`, times }))
      })
    },
  }
}
