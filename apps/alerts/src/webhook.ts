/** Posts messages to a webhook, signed per Standard Webhooks: https://www.standardwebhooks.com. */
import { createHmac } from 'node:crypto'
import pRetry, { AbortError } from 'p-retry'

/** A message about an alert. */
export interface Message {
  /** The same for every attempt, so that receivers can drop duplicates. */
  id: string
  body: object
}

/** Sends a message. Rejects when that fails; after `stopping` it does not try again. */
export type Send = (message: Message, stopping: AbortSignal) => Promise<void>

const TIMEOUT_MS = 5_000

/** After 1, 2 and 4 s: with the timeouts at most 27 s. */
const RETRIES = 3

/** The longest that a send may take, in milliseconds. */
export const SEND_MS = 30_000

/** Whether a status will not change by trying again. */
const isFinal = (status: number) => status >= 400 && status < 500 && ![408, 409, 425, 429].includes(status)

/** A sender of messages to `url`. `secret` is `whsec_` and the key in base64. */
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
      redirect: 'error', // the signature is meant for this address only
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause) => {
      throw new Error(`the webhook could not be reached: ${cause.cause?.message || cause.message}`)
    })
    await response.body?.cancel()
    if (response.ok) return
    const error = new Error(`the webhook answered ${response.status}`)
    throw isFinal(response.status) ? new AbortError(error) : error
  }

  // A running POST is not aborted: it would be unknown whether it arrived.
  return (message, stopping) =>
    pRetry(() => post(message), { retries: RETRIES, minTimeout: retryMs, shouldRetry: () => !stopping.aborted })
}
