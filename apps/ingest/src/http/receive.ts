/** Receives the body of a request: counts and inflates it, with limited memory for each tenant. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { createTurns } from '@eventflow/core'
import { createShares, NotAcceptedError } from '@eventflow/intake'
import { RequestError } from './problem.js'

/** Inflates a whole body. Rejects with ERR_BUFFER_TOO_LARGE as soon as the result exceeds `maxOutputLength`. */
type Inflate = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const INFLATERS: Record<string, Inflate> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
}

/** The supported values of `Content-Encoding`. */
export const ENCODINGS = ['gzip', 'deflate', 'br']

/** Inflating takes up to 16 MiB in addition to the body, and there are four threads for it. */
const INFLATING = { atOnce: 4, atOnceEach: 2, waitingEach: Number.POSITIVE_INFINITY }

/** After this time, in milliseconds, a body must have arrived at the minimum rate. */
const SLOW_AFTER_MS = 5_000
const LOOK_EVERY_MS = 1_000

export interface Receiver {
  /**
   * Resolves with the whole inflated body of a request. Rejects with RequestError if it is too large, too slow, broken
   * off or has an unknown encoding, and with NotAcceptedError if bodies fill their memory; each counts until its
   * request is answered. `count` is called repeatedly with the bytes so far, and finally with the inflated size; an
   * error that it throws ends receiving.
   */
  receive(exchange: Exchange, tenantId: string, bodyLimit: number, count: (bytes: number) => void): Promise<Buffer>
}

/** A request and its response. */
interface Exchange {
  request: IncomingMessage
  response: ServerResponse
}

/**
 * Creates a receiver. `bodyLimit` applies to a body both as received and inflated. `totalLimit` applies to all bodies
 * of current requests, and each tenant gets a share of it; both are in bytes. `leastRate` is in bytes a second; 0
 * allows any.
 */
export function createReceiver({ totalLimit, leastRate }: { totalLimit: number; leastRate: number }): Receiver {
  const turns = createTurns(INFLATING)
  const shares = createShares(totalLimit)

  /**
   * A body is inflated once it has arrived completely: a slow client takes up memory for its own bytes, but no
   * inflating turn.
   */
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

  /** Returns a function that raises the memory share of a request to a number of bytes. */
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

/** Errors of streams and zlib are about what was sent; those of zlib have its `errno`. */
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
  // RFC 9110 §12.5.3: with this status, the header lists the supported encodings.
  throw new RequestError('unsupported-media-type', detail, undefined, { 'accept-encoding': names })
}

/** The bodies that are being read, each as a function that checks its rate. */
const beingRead = new Set<() => void>()
setInterval(() => {
  for (const look of beingRead) look()
}, LOOK_EVERY_MS).unref()

/** Passes on every chunk until the end. Rejects with an error that `take` throws, and if the body is too slow. */
function readAll(request: IncomingMessage, leastRate: number, take: (chunk: Buffer) => void): Promise<void> {
  const startedAt = performance.now()
  let size = 0
  return new Promise<void>((resolve, reject) => {
    // The connection is gone, so no more events will arrive.
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
