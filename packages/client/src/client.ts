/** The client: one request per call, retried until the answer is final or the time is up. */
import { type Judgement, judge, notOurServer, problemOf, reasonToRetry } from './answer.js'
import { type Deliver, type Delivery, type EventText, type OutgoingEvent, type SealedEvent, seal } from './event.js'
import { RequestFailed } from './failure.js'
import { type Answer, type ConnectionOptions, createConnection, type Reply } from './http.js'
import { createProducer, type Producer, type ProducerOptions } from './producer.js'
import { DEFAULT_RETRY_POLICY, type RetryPolicy, retrying } from './retry.js'

export interface ClientOptions extends ConnectionOptions, Partial<RetryPolicy> {}

/** The outcome of each event of a batch, in the order given, and the count of each outcome. */
export interface BatchResult {
  accepted: number
  duplicate: number
  rejected: number
  undelivered: number
  items: Delivery[]
}

/** The part of `GET /metrics/summary?counts=true` that a producer needs. */
export interface Summary {
  events: { accepted: number; processed: number; failed: number; retrying: number; unsettled: number }
}

export interface Client {
  /**
   * Sends one event. Resolves when the server has stored it.
   * @throws {TypeError} when JSON would lose or change a value in it
   * @throws {EventRejected} when the server will never accept it as it is
   * @throws {RequestFailed} when the retries are used up, `signal` was aborted, or the server refuses the request
   * itself
   */
  send(
    event: OutgoingEvent | EventText,
    options?: { signal?: AbortSignal },
  ): Promise<{ id: string; duplicate: boolean }>
  /**
   * Sends events in one request, and sends again those that the server could not store. The result reports failures.
   * @throws {TypeError} when JSON would lose or change a value in one of them; then none is sent
   */
  sendBatch(events: (OutgoingEvent | EventText)[], options?: { signal?: AbortSignal }): Promise<BatchResult>
  /**
   * Creates a producer, which batches events, keeps the order of each key, and can spool to disk. @throws {Error} when
   * its spool cannot be opened
   */
  producer(options?: ProducerOptions): Promise<Producer>
  /**
   * An event's status and history, by the id in its delivery; `undefined` if there is no such event. With `waitMs`,
   * answers once the event is settled, at the latest after that time (rounded up to seconds).
   * @throws {RequestFailed}
   */
  event(id: string, options?: { waitMs?: number }): Promise<Record<string, unknown> | undefined>
  /** Counts of accepted, processed and failed events. @throws {RequestFailed} */
  summary(): Promise<Summary>
  /** Waits for the requests in flight and closes the connections. Close its producers first. */
  close(): Promise<void>
}

/** Creates a client for the server at `url`; sends nothing yet. @throws {TypeError} when `url` is not valid. */
export function createClient(options: ClientOptions): Client {
  const policy: RetryPolicy = { ...DEFAULT_RETRY_POLICY, ...options }
  const connection = createConnection(options)

  /** Sends the events until each has a final outcome. */
  async function deliver(events: SealedEvent[], signal?: AbortSignal): Promise<Delivery[]> {
    const deliveries: Delivery[] = []
    let open = [...events.keys()]
    const attempt = async () => {
      const { verdicts, again } = await post(
        open.map((index) => events[index]!),
        signal,
      )
      verdicts.forEach((verdict, n) => {
        if (verdict !== 'again') deliveries[open[n]!] = verdict
      })
      open = open.filter((_, n) => verdicts[n] === 'again')
      return again
    }
    const gaveUp = await retrying(attempt, policy, signal)
    if (gaveUp)
      for (const index of open) deliveries[index] = { status: 'undelivered', id: events[index]!.id, error: gaveUp }
    return deliveries
  }

  /**
   * Sends one request. If it is refused as a whole, sends its halves in order, recursively, down to the event at fault.
   */
  async function post(events: SealedEvent[], signal?: AbortSignal): Promise<Exclude<Judgement, 'halve'>> {
    const { isCloudEvent = false } = events[0]!
    const others = events.findIndex((event) => (event.isCloudEvent ?? false) !== isCloudEvent)
    if (others > 0) return inTwo(events, others, signal)
    const texts = events.map((event) => event.json)
    const isOne = events.length === 1
    const reply = await connection.exchange({
      method: 'POST',
      path: isOne ? '/v1/events' : '/v1/events/batch',
      body: isOne ? texts[0]! : `[${texts.join(',')}]`,
      ...(isCloudEvent && { contentType: `application/cloudevents${isOne ? '' : '-batch'}+json` }),
      events: events.length,
      signal,
    })
    const judgement = judge(reply, events)
    return judgement === 'halve' ? inTwo(events, Math.ceil(events.length / 2), signal) : judgement
  }

  async function inTwo(events: SealedEvent[], at: number, signal?: AbortSignal): Promise<{ verdicts: Delivery[] }> {
    const first = await deliver(events.slice(0, at), signal)
    return { verdicts: [...first, ...(await deliver(events.slice(at), signal))] }
  }

  async function get(path: string, waitMs = 0): Promise<Answer> {
    let reply!: Reply
    const attempt = async () => {
      reply = await connection.exchange({ method: 'GET', path, waitMs })
      return reasonToRetry(reply)
    }
    const gaveUp = await retrying(attempt, policy)
    if (gaveUp) throw gaveUp
    return reply as Answer
  }

  return {
    async send(event, { signal } = {}) {
      const delivery = (await deliver([seal(event)], signal))[0]!
      if ('error' in delivery) throw delivery.error
      return { id: delivery.id, duplicate: delivery.status === 'duplicate' }
    },
    async sendBatch(events, { signal } = {}) {
      return count(
        events.length === 0
          ? []
          : await deliver(
              events.map((event, index) => seal(event, `event ${index}`)),
              signal,
            ),
      )
    },
    producer: (producerOptions = {}) => createProducer(deliver satisfies Deliver, producerOptions),
    async event(id, { waitMs = 0 } = {}) {
      const wait = waitMs > 0 ? `?wait=${Math.ceil(waitMs / 1000)}s` : ''
      const answer = await get(`/v1/events/${encodeURIComponent(id)}${wait}`, waitMs)
      return answer.status === 404 ? undefined : (contentOf(answer) as Record<string, unknown>)
    },
    async summary() {
      const summary = contentOf(await get('/metrics/summary?counts=true')) as Summary
      if (typeof summary?.events?.unsettled !== 'number') throw new RequestFailed(notOurServer(summary), 1)
      return summary
    },
    close: () => connection.close(),
  }
}

function contentOf(answer: Answer): unknown {
  if (answer.status !== 200) throw new RequestFailed({ problem: problemOf(answer) }, 1)
  return answer.body
}

function count(items: Delivery[]): BatchResult {
  const result = { accepted: 0, duplicate: 0, rejected: 0, undelivered: 0, spooled: 0 }
  for (const { status } of items) result[status]++
  const { spooled: _, ...counts } = result
  return { ...counts, items }
}
