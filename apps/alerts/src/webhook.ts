/** Posts a message to a webhook, signed as Standard Webhooks says: https://www.standardwebhooks.com. */
import { createHmac } from 'node:crypto'
import pRetry, { AbortError } from 'p-retry'

/** A message for whoever is to be told. */
export interface Message {
  /** Stays the same however often it is sent: who has seen it may drop it. */
  id: string
  body: object
}

/** Tells somebody. Rejects when nobody could be told; once `stopping`, that is not tried again. */
export type Send = (message: Message, stopping: AbortSignal) => Promise<void>

const TIMEOUT_MS = 5_000

/** 1, 2 and 4 s after one another: with the timeouts no more than 27 s. */
const RETRIES = 3

/** All that a send may take, in milliseconds. */
export const SEND_MS = 30_000

/** The answer of a receiver that will not be another one in a second. */
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
      redirect: 'error', // what is signed for one address is not for another
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause) => {
      throw new Error(`the webhook was not reached: ${cause.cause?.message || cause.message}`)
    })
    await response.body?.cancel()
    if (response.ok) return
    const error = new Error(`the webhook answered ${response.status}`)
    throw isFinal(response.status) ? new AbortError(error) : error
  }

  // A post under way is not broken off: nobody would know whether it had arrived.
  return (message, stopping) =>
    pRetry(() => post(message), { retries: RETRIES, minTimeout: retryMs, shouldRetry: () => !stopping.aborted })
}
