/** Receives the body of a request: counted, inflated, and never more of it in memory than its tenant may have. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { createTurns } from '@eventflow/core'
import { createShares, NotAcceptedError } from '@eventflow/intake'
import { RequestError } from './problem.js'

/** Inflates a whole body; rejects with ERR_BUFFER_TOO_LARGE as soon as there is more of it than `maxOutputLength`. */
type Inflate = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const INFLATERS: Record<string, Inflate> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
}

/** What `Content-Encoding` may be. */
export const ENCODINGS = ['gzip', 'deflate', 'br']

/** Inflating takes up to 16 MiB beside the body itself, and there are four threads for it. */
const INFLATING = { atOnce: 4, atOnceEach: 2, waitingEach: Number.POSITIVE_INFINITY }

/** After this time from its beginning, in milliseconds, a body must have arrived at the least rate. */
const SLOW_AFTER_MS = 5_000
const LOOK_EVERY_MS = 1_000

export interface Receiver {
  /**
   * All of a request's body, inflated. Rejects with RequestError when it is too large, too slow, compressed in a way
   * that we do not know, or broken off, and with NotAcceptedError when bodies fill the memory that they may have; each
   * counts until its request is answered. `count` is told again and again how many bytes there are so far, and at the
   * end how many the inflated body has; what it throws ends the receiving.
   */
  receive(exchange: Exchange, tenantId: string, bodyLimit: number, count: (bytes: number) => void): Promise<Buffer>
}

/** A request, and its answer. */
interface Exchange {
  request: IncomingMessage
  response: ServerResponse
}

/**
 * `bodyLimit` counts for a body as it comes and as it is inflated, `totalLimit` for those of all requests under way, of which each
 * tenant has its share; both in bytes. `leastRate` is in bytes a second; 0 takes any.
 */
export function createReceiver({ totalLimit, leastRate }: { totalLimit: number; leastRate: number }): Receiver {
  const turns = createTurns(INFLATING)
  const shares = createShares(totalLimit)

  /** A body is inflated when it is there as a whole: a slow client holds its own bytes, but none of our turns. */
  async function receive(
    { request, response }: Exchange,
    tenantId: string,
    bodyLimit: number,
    count: (bytes: number) => void,
  ): Promise<Buffer> {
    const tooLarge = () => new RequestError('body-too-large', `The limit of a body is ${bodyLimit} bytes`)
    const announced = Number(request.headers['content-length'] ?? 0)
    if (announced > bodyLimit) throw tooLarge()
    const inflater = inflaterFor(request.headers['content-encoding'])
    const chunks: Buffer[] = []
    let size = 0
    const hold = holdUntilAnswered(response, tenantId)
    try {
      hold(announced)
      await readAll(request, leastRate, (chunk) => {
        size += chunk.length
        count(size)
        if (size > bodyLimit) throw tooLarge()
        hold(size)
        chunks.push(chunk)
      })
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)
      if (!inflater) return body
      const inflated = await turns.run(tenantId, async () => {
        count(size)
        return inflater(body, { maxOutputLength: bodyLimit })
      })
      count(inflated.length)
      hold(inflated.length)
      return inflated
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw asAnswer(error)
      count(bodyLimit)
      throw tooLarge()
    }
  }

  /** Gives what raises the share of a request to so many bytes. */
  function holdUntilAnswered(response: ServerResponse, tenantId: string): (bytes: number) => void {
    let held = 0
    let isOver = false
    response.once('close', () => {
      isOver = true
      if (held > 0) shares.give(tenantId, held)
    })
    return (bytes) => {
      if (isOver || bytes <= held) return
      if (!shares.take(tenantId, bytes - held, held)) throw new NotAcceptedError('overloaded')
      held = bytes
    }
  }

  return { receive }
}

/** What a stream or zlib throws is about what was sent; zlib's errors have its number. */
function asAnswer(error: unknown): unknown {
  const { code, errno, message } = error as NodeJS.ErrnoException
  if (code !== 'ECONNRESET' && errno === undefined) return error
  return new RequestError('malformed-body', `The body cannot be decoded: ${message}`)
}

function inflaterFor(encoding: string | undefined): Inflate | undefined {
  if (encoding === undefined) return undefined
  const name = encoding.trim().toLowerCase()
  if (name === 'identity') return undefined
  if (Object.hasOwn(INFLATERS, name)) return INFLATERS[name]!
  const names = ENCODINGS.join(', ')
  const detail = `The content encoding must be one of ${names}`
  // RFC 9110 §12.5.3: with this status it says which ones a body may have.
  throw new RequestError('unsupported-media-type', detail, undefined, { 'accept-encoding': names })
}

/** Bodies that are being read, each with what looks whether it is too slow. */
const beingRead = new Set<() => void>()
setInterval(() => {
  for (const look of beingRead) look()
}, LOOK_EVERY_MS).unref()

/** Hands on every chunk until the end. What `take` throws ends the reading and is thrown, and so does a body that is too slow. */
function readAll(request: IncomingMessage, leastRate: number, take: (chunk: Buffer) => void): Promise<void> {
  const startedAt = performance.now()
  let size = 0
  return new Promise<void>((resolve, reject) => {
    // Its connection is gone: nothing more is heard of it.
    if (request.destroyed) return reject(new RequestError('malformed-body', 'The body was cut off'))
    const fail = (error: unknown) => {
      request.off('data', next)
      beingRead.delete(look)
      reject(error)
    }
    const next = (chunk: Buffer) => {
      try {
        size += chunk.length
        take(chunk)
      } catch (error) {
        fail(error)
      }
    }
    const look = () => {
      const late = performance.now() - startedAt - SLOW_AFTER_MS
      if (late > 0 && size < (late / 1_000) * leastRate) fail(tooSlow(leastRate))
    }
    request.on('data', next)
    request.on('end', () => {
      beingRead.delete(look)
      resolve()
    })
    request.on('error', fail)
    if (leastRate > 0) beingRead.add(look)
  })
}

const tooSlow = (leastRate: number) =>
  new RequestError(
    'request-timeout',
    `After ${SLOW_AFTER_MS / 1_000} s a body must arrive at ${leastRate} bytes per second; nothing was stored`,
    undefined,
    { connection: 'close' },
  )
