/** Waits until the pipeline accepts events. */
import { setTimeout as delay } from 'node:timers/promises'
import { SetupError } from '@eventflow/local'
import type { Kept } from './keep-running.js'
import type { Voice } from './output.js'

const TELL_EVERY_MS = 15_000

/**
 * Waits until `/readyz` answers 200 on every port. Rejects if a part of the stack ends before it has worked: it would
 * hardly do better the next time, and the user is watching. A part that worked and was crashed by an event is started
 * again.
 */
export async function untilReady(ports: number[], started: Kept[], voice: Voice, stop: AbortSignal): Promise<void> {
  const over = new AbortController()
  const signal = AbortSignal.any([stop, over.signal])
  try {
    await Promise.race([
      Promise.all(ports.map((port) => poll(`http://127.0.0.1:${port}/readyz`, voice, signal))),
      failedStart(started),
    ])
  } finally {
    over.abort()
  }
}

async function poll(url: string, voice: Voice, signal: AbortSignal): Promise<void> {
  for (let toldAt = Date.now(); ; await delay(100, undefined, { signal })) {
    const answer = await get(url)
    if (answer.ok) return
    if (Date.now() - toldAt < TELL_EVERY_MS) continue
    voice.say(`still waiting for ${url}: ${answer.text}`, 'warn')
    toldAt = Date.now()
  }
}

async function get(url: string): Promise<{ ok: boolean; text: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    return { ok: response.ok, text: await response.text() }
  } catch (error) {
    return { ok: false, text: (error as Error).message }
  }
}

async function failedStart(started: Kept[]): Promise<never> {
  const how = await Promise.race(started.map((part) => part.failedStart))
  throw new SetupError(`startup failed (${how}): see the log above`)
}
