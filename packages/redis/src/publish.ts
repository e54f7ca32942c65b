/**
 * Adds accepted events to the streams of their partitions: those of one partition all together or not at all. If a
 * partition needs several entries, Redis could otherwise refuse the first one and take the second (out of memory, no
 * replicas, cannot save), and later events of a key would overtake earlier ones of the same request.
 */
import { type Publisher, packEntry, type RawEvent } from '@eventflow/core'
import type { ChainableCommander, Redis } from 'ioredis'
import type { Seal } from './seal.js'
import { FIELD, streamKey } from './stream-key.js'

/**
 * Creates a publisher that adds nothing to a stream with `maxLength` entries: further events stay in Postgres, so that
 * Redis stays bounded with any backlog. It uses the lengths from its last round trip, so several publishers together
 * may exceed the limit by what they are adding at that moment.
 */
export function createPublisher(redis: Redis, prefix: string, seal: Seal, maxLength: number): Publisher {
  const lengths = new Map<number, number>()

  return {
    async publish(events) {
      const byPartition = groupByPartition(events)
      const partitions = [...byPartition.keys()]
      const unpublished = new Set(partitions.filter((partition) => (lengths.get(partition) ?? 0) >= maxLength))
      const pipeline = redis.pipeline()
      const answers: { partition: number; at: number }[] = []
      for (const [partition, group] of byPartition) {
        if (unpublished.has(partition)) continue
        const stream = streamKey(prefix, partition)
        const texts = [...chunksOf(group)].map((chunk) => seal.close(stream, packEntry(chunk)))
        addTogether(pipeline, stream, texts)
        answers.push({ partition, at: pipeline.length - 1 })
      }
      const lengthsAt = pipeline.length
      for (const partition of partitions) pipeline.xlen(streamKey(prefix, partition))

      const replies = (await pipeline.exec().catch(() => null)) ?? []
      for (const { partition, at } of answers) if (!isAdded(replies[at])) unpublished.add(partition)
      partitions.forEach((partition, i) => {
        const [error, length] = replies[lengthsAt + i] ?? []
        if (error === null) lengths.set(partition, Number(length))
      })
      return unpublished
    },
  }
}

/** Adds one XADD, or a transaction of several; the reply to the last command shows whether all succeeded. */
function addTogether(pipeline: ChainableCommander, stream: string, texts: readonly string[]): void {
  const single = texts.length === 1
  if (!single) pipeline.call('multi')
  for (const text of texts) pipeline.xadd(stream, '*', FIELD, text)
  if (!single) pipeline.call('exec')
}

/**
 * Whether Redis replied with the id of the entry, or to EXEC with an id for each. If a command was refused, EXEC
 * replies with an error.
 */
function isAdded([error, answer]: [error: Error | null, answer: unknown] | [] = []): boolean {
  if (error !== null) return false
  return Array.isArray(answer) ? answer.every((id) => typeof id === 'string') : typeof answer === 'string'
}

function groupByPartition(events: readonly RawEvent[]): Map<number, RawEvent[]> {
  const groups = new Map<number, RawEvent[]>()
  for (const event of events) {
    const group = groups.get(event.partition)
    if (group) group.push(event)
    else groups.set(event.partition, [event])
  }
  return groups
}

/** The most events in one entry: a reader takes whole entries. A single event may be larger. */
const CHUNK_EVENTS = 50
const CHUNK_CHARACTERS = 65_536

function* chunksOf(events: readonly RawEvent[]): Generator<RawEvent[]> {
  let chunk: RawEvent[] = []
  let characters = 0
  for (const event of events) {
    const isFull = chunk.length === CHUNK_EVENTS || characters + event.payload.length > CHUNK_CHARACTERS
    if (isFull && chunk.length > 0) {
      yield chunk
      chunk = []
      characters = 0
    }
    chunk.push(event)
    characters += event.payload.length
  }
  if (chunk.length > 0) yield chunk
}
