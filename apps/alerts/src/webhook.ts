/** Posts a message to a webhook, signed according to Standard Webhooks: https://www.standardwebhooks.com. */
import { createHmac } from 'node:crypto'
import pRetry, { AbortError } from 'p-retry'

/** A message for the receiver. */
export interface Message {
  /** The same for every attempt to send it: the receiver may drop repetitions. */
  id: string
  body: object
}

/** Sends a message. Rejects if the receiver could not be reached; once `stopping`, there are no more retries. */
export type Send = (message: Message, stopping: AbortSignal) => Promise<void>

const TIMEOUT_MS = 5_000

/** After 1, 2 and 4 s: with the timeouts no more than 27 s. */
const RETRIES = 3

/** The maximum duration of a send, in milliseconds. */
export const SEND_MS = 30_000

/** An answer that a retry will not change. */
const isFinal = (status: number) => status >= 400 && status < 500 && ![408, 409, 425, 429].includes(status)

/** Creates a sender of messages to `url`. `secret` is `whsec_` and the key in base64. */
export function createWebhook(url: string, secret: string, retryMs = 1_000): Send {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')

  async function post({ id, body }: Message): Promise<void> {
    const text = JSON.stringify(body)
    const timestamp = `${Math.floor(Date.now() / 1_000)}`
    const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest('base64')
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature}`,
      },
      body: text,
      redirect: 'error', // a signature for one address must not reach another
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause) => {
      throw new Error(`the webhook could not be reached: ${cause.cause?.message || cause.message}`)
    })
    await response.body?.cancel()
    if (response.ok) return
    const error = new Error(`the webhook answered ${response.status}`)
    throw isFinal(response.status) ? new AbortError(error) : error
  }

  // A request in flight is not aborted: it would be unknown whether it had arrived.
  return (message, stopping) =>
    pRetry(() => post(message), { retries: RETRIES, minTimeout: retryMs, shouldRetry: () => !stopping.aborted })
}
