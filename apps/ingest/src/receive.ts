/** Receives the body of a request: counted, inflated, and never more of it in memory than is allowed. */
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { NotAcceptedError } from './accept.js'
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
const MAX_INFLATING = 4

export interface Receiver {
  /**
   * All of a request's body, inflated. Rejects with RequestError when it is too large, compressed in a way that we do not
   * know, or broken off, and with NotAcceptedError when the bodies that are coming in fill the memory that they may have.
   */
  receive(request: IncomingMessage, bodyLimit: number): Promise<Buffer>
}

/** `bodyLimit` counts for a body as it comes and as it is inflated, `totalLimit` for all that are coming in; both in bytes. */
export function createReceiver({ totalLimit }: { totalLimit: number }): Receiver {
  const inTurn = takingTurns(MAX_INFLATING)
  let total = 0

  /** A body is inflated when it is there as a whole: a slow client holds its own bytes, but none of our turns. */
  async function receive(request: IncomingMessage, bodyLimit: number): Promise<Buffer> {
    const tooLarge = () => new RequestError('body-too-large', `This body has ${bodyLimit} bytes at the most`)
    if (Number(request.headers['content-length']) > bodyLimit) throw tooLarge()
    const inflater = inflaterFor(request.headers['content-encoding'])
    const chunks: Buffer[] = []
    let size = 0
    try {
      await readAll(request, (chunk) => {
        size += chunk.length
        total += chunk.length
        if (size > bodyLimit) throw tooLarge()
        // The only body that there is may always come in.
        if (total > totalLimit && total > size) throw new NotAcceptedError('overloaded')
        chunks.push(chunk)
      })
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)
      return inflater ? await inTurn(() => inflater(body, { maxOutputLength: bodyLimit })) : body
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge() : asAnswer(error)
    } finally {
      total -= size
    }
  }

  return { receive }
}

/** What a stream or zlib throws is about what was sent. */
function asAnswer(error: unknown): unknown {
  if (error instanceof RequestError || error instanceof NotAcceptedError) return error
  return new RequestError('malformed-body', `The body cannot be read to its end: ${(error as Error).message}`)
}

function inflaterFor(encoding: string | undefined): Inflate | undefined {
  if (encoding === undefined) return undefined
  const name = encoding.trim().toLowerCase()
  if (name === 'identity') return undefined
  if (Object.hasOwn(INFLATERS, name)) return INFLATERS[name]!
  const names = ENCODINGS.join(', ')
  throw new RequestError(
    'unsupported-media-type',
    `The content encoding must be one of ${names}`,
    undefined,
    // RFC 9110 §12.5.3
    { 'accept-encoding': names },
  )
}

/** Hands on every chunk until the end. What `take` throws ends the reading and is thrown. */
function readAll(request: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (chunk: Buffer) => {
      try {
        take(chunk)
      } catch (error) {
        request.off('data', next)
        reject(error)
      }
    }
    request.on('data', next)
    request.once('end', resolve)
    request.on('error', reject)
  })
}

/** Runs up to `limit` of what it is given at once; the others wait in their order. */
function takingTurns(limit: number) {
  const waiting: (() => void)[] = []
  let running = 0
  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (running < limit) running++
    else await new Promise<void>((go) => waiting.push(go))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
