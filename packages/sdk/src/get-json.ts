/** One GET of JSON, and the meaning of its failures. */
import { PermanentError, TransientError } from '@eventflow/core'
import { parseFrozen } from './reference-cache.js'

/** Maximum bytes read of an answer. */
const MAX_ANSWER_BYTES = 1024 * 1024

/** Throws on other encodings, which would otherwise silently become U+FFFD. */
const UTF8 = new TextDecoder('utf-8', { fatal: true })

/**
 * An answer that will not change in a moment, though the event may not be at fault: an immediate retry is pointless.
 */
export class UnexpectedAnswer extends TransientError {}

export interface Answer {
  /** Frozen, as several events may get it. */
  json: unknown
  /** The length of the text, in characters. */
  length: number
}

/**
 * GETs JSON from the dependency called `name`: the answer, or `undefined` if it does not exist (404, 410). Throws
 * `PermanentError` for other 4xx, `UnexpectedAnswer` for a likely misconfiguration (401, 403, a redirect, no JSON in
 * UTF-8, more than 1 MiB), otherwise `TransientError`. `timeoutMs` covers the whole request, to the last byte.
 */
export async function getJson(
  address: URL,
  name: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Answer | undefined> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const request = { headers: { accept: 'application/json', ...headers }, redirect: 'manual', signal } as const
    const response = await fetch(address, request)
    if (response.ok) return await readJson(response, name)
    await response.body?.cancel()
    if (response.status === 404 || response.status === 410) return undefined
    throw failureOfStatus(response.status, name)
  } catch (error) {
    if (error instanceof TransientError || error instanceof PermanentError) throw error
    if (signal.aborted) throw new TransientError(`${name} did not answer within ${timeoutMs} ms`, { cause: error })
    throw new TransientError(`${name} could not be reached: ${reasonOf(error)}`, { cause: error })
  }
}

/** fetch only says "fetch failed"; the reason is in its cause, and for a refused connection only in the code. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } }
  return cause?.code ?? cause?.message ?? String(error)
}

const BUSY = new Set([408, 425, 429])
const MISCONFIGURED = new Set([401, 403])

function failureOfStatus(status: number, name: string): Error {
  const message = `${name} answered with status ${status}`
  if (status < 400 || MISCONFIGURED.has(status)) return new UnexpectedAnswer(message)
  return status >= 500 || BUSY.has(status) ? new TransientError(message) : new PermanentError(message)
}

async function readJson(response: Response, name: string): Promise<Answer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new UnexpectedAnswer(`${name} answered with more than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    const text = UTF8.decode(Buffer.concat(chunks))
    return { json: parseFrozen(text), length: text.length }
  } catch (cause) {
    throw new UnexpectedAnswer(`${name} did not answer with JSON in UTF-8`, { cause })
  }
}
