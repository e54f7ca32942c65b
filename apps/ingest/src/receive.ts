/** Receives the body of a request: counted, inflated, and never more of it in memory than is allowed. */
import type { IncomingMessage } from 'node:http'
import type { Readable, Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { NotAcceptedError } from './accept.js'
import { RequestError } from './problem.js'

const INFLATERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
}

/** What `Content-Encoding` may be. */
export const ENCODINGS = ['gzip', 'deflate', 'br']

export interface Receiver {
  /**
   * All of a request's body, inflated. Rejects with RequestError when it is too large, compressed in a way that we do not
   * know, or broken off, and with NotAcceptedError when the bodies that are coming in fill the memory that they may have.
   */
  receive(request: IncomingMessage): Promise<Buffer>
}

/** `bodyLimit` counts for a body as it comes and as it is inflated, `totalLimit` for all that are coming in; both in bytes. */
export function createReceiver({ bodyLimit, totalLimit }: { bodyLimit: number; totalLimit: number }): Receiver {
  let total = 0

  async function receive(request: IncomingMessage): Promise<Buffer> {
    if (Number(request.headers['content-length']) > bodyLimit) throw tooLarge()
    const inflater = inflaterFor(request.headers['content-encoding'])
    const chunks: Buffer[] = []
    let size = 0
    const keep = (chunk: Buffer) => {
      size += chunk.length
      total += chunk.length
      if (size > bodyLimit) throw tooLarge()
      // The only body that there is may always come in.
      if (total > totalLimit && total > size) throw new NotAcceptedError('overloaded')
      chunks.push(chunk)
    }
    try {
      await (inflater ? inflate(request, inflater, keep) : readAll(request, keep))
      return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)
    } finally {
      total -= size
    }
  }

  /** The compressed bytes are counted as well: an endless row of empty gzip members inflates to nothing. */
  async function inflate(request: IncomingMessage, inflater: Transform, keep: (chunk: Buffer) => void): Promise<void> {
    let received = 0
    request.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received > bodyLimit) inflater.destroy(tooLarge())
    })
    request.on('error', (error) => inflater.destroy(error))
    request.pipe(inflater)
    try {
      await readAll(inflater, keep)
    } finally {
      request.unpipe(inflater)
      inflater.destroy()
    }
  }

  const tooLarge = () => new RequestError('body-too-large', `A body has ${bodyLimit} bytes at the most`)

  return { receive }
}

function inflaterFor(encoding: string | undefined): Transform | undefined {
  if (encoding === undefined) return undefined
  const name = encoding.trim().toLowerCase()
  if (name === 'identity') return undefined
  if (Object.hasOwn(INFLATERS, name)) return INFLATERS[name]!()
  throw new RequestError('unsupported-media-type', `The content encoding must be one of ${ENCODINGS.join(', ')}`)
}

/** Hands on every chunk until the end. What `take` throws ends the reading and is thrown. */
function readAll(source: Readable, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (chunk: Buffer) => {
      try {
        take(chunk)
      } catch (error) {
        source.off('data', next)
        reject(error)
      }
    }
    source.on('data', next)
    source.once('end', resolve)
    source.on('error', (error) => reject(error instanceof RequestError ? error : brokenOff(error)))
  })
}

const brokenOff = (error: Error) =>
  new RequestError('malformed-body', `The body cannot be read to its end: ${error.message}`)
