/** The journal: every attempt of every client to send events, with its beginning, its end and the answer. */
import { createReadStream, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** An event as its client sent it. */
export interface SentEvent {
  id: string
  key: string
  /** Numbers the events of a key, as its clients sent them. */
  n: number
  /** It fails sometimes or always, and may therefore end as a dead letter. */
  mayDie: boolean
  /** The consumer group of the fault tests refuses it. */
  refusedByGroup: boolean
}

/**
 * One request. `ok`: every event of it was answered as accepted. `failed`: nothing was sent. `unknown`: no answer, or
 * one that guarantees nothing. `refused`: an answer that these events will never be accepted.
 */
export interface Attempt {
  /** The same for every attempt to send the same events. */
  op: number
  /** By the one monotonic clock of all clients, in milliseconds. */
  from: number
  until: number
  result: 'ok' | 'failed' | 'unknown' | 'refused'
  /** The answer, if it matters. */
  detail?: string
  /** In the order of the request. Given with the first attempt of an operation. */
  events?: readonly SentEvent[]
}

type Line = Omit<Attempt, 'events'> & { events?: [id: string, key: string, n: number, flags: number][] }

export interface Journal {
  write(attempt: Attempt): void
  close(): Promise<void>
}

/** Opens a new journal: a file with one attempt per line, as JSON. */
export function openJournal(file: string): Journal {
  const stream = createWriteStream(file)
  return {
    write({ events, ...attempt }) {
      const line: Line = attempt
      if (events) line.events = events.map((event) => [event.id, event.key, event.n, flagsOf(event)])
      stream.write(`${JSON.stringify(line)}\n`)
    },
    close: () => new Promise((resolve, reject) => stream.once('error', reject).end(resolve)),
  }
}

/** The attempts of a journal, in the order in which they ended. */
export async function* readJournal(file: string): AsyncGenerator<Attempt> {
  for await (const text of createInterface({ input: createReadStream(file) })) {
    const { events, ...attempt }: Line = JSON.parse(text)
    yield events ? { ...attempt, events: events.map(eventOf) } : attempt
  }
}

const MAY_DIE = 1
const REFUSED_BY_GROUP = 2

const flagsOf = ({ mayDie, refusedByGroup }: SentEvent) =>
  (mayDie ? MAY_DIE : 0) + (refusedByGroup ? REFUSED_BY_GROUP : 0)

const eventOf = ([id, key, n, flags]: [string, string, number, number]): SentEvent => ({
  ...{ id, key, n },
  ...{ mayDie: (flags & MAY_DIE) > 0, refusedByGroup: (flags & REFUSED_BY_GROUP) > 0 },
})
