/** The current state of the pipeline and the last hour, updated by the service. */
import { signal } from '@preact/signals'
import type { Moment, Trouble } from './answers.js'
import { ApiError, apiKey, keyRefused, keysGiven, open } from './api.js'

/** What the charts draw: times, and for each time one value per series. The service names the series. */
export interface Recorded {
  at: number[]
  series: Record<string, (number | null)[]>
}

export const moment = signal<Moment | undefined>(undefined)
export const recorded = signal<Recorded>({ at: [], series: {} })

/** Why the connection is lost; empty while it is up. */
export const lost = signal('')

/** The level of a figure, which decides its colour. Only the service judges; pages do not. */
export const levelOf = (troubles: readonly Trouble[], figure: Trouble['figure']): Trouble['level'] | undefined =>
  troubles.find((trouble) => trouble.figure === figure)?.level

const HOUR_MS = 3_600_000

/** After this many milliseconds without a moment the connection counts as lost. */
const SILENT_MS = 15_000
const AGAIN_AFTER_MS = 2_000

/** Follows the pipeline while the page is open. */
export async function follow(): Promise<never> {
  for (;;) {
    try {
      await listen()
      lost.value = 'The service closed the connection.'
    } catch (error) {
      lost.value = error instanceof ApiError ? error.message : 'The connection was lost.'
      if (keyRefused.value) lost.value = apiKey.value ? 'The API key was refused.' : 'An API key is required.'
      const isOthers = error instanceof ApiError && error.status === 403
      // A key of the operator's tenant has shown it before; this one may not see it.
      if (isOthers) moment.value = undefined
      if (keyRefused.value || isOthers) await anotherKey()
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS))
  }
}

/** Waits for another key: the same one would be refused again. */
function anotherKey(): Promise<void> {
  const before = keysGiven.value
  return new Promise((resolve) => {
    const stop = keysGiven.subscribe((given) => {
      if (given === before) return
      queueMicrotask(() => stop())
      resolve()
    })
  })
}

// By fetch, because EventSource cannot send the header with the key.
async function listen(): Promise<void> {
  const silent = new AbortController()
  let timer = setTimeout(() => silent.abort(), SILENT_MS)
  // A running stream does not know that its key is no longer accepted.
  const stop = keyRefused.subscribe((refused) => refused && silent.abort())
  try {
    const response = await open('v1/live', { headers: { accept: 'text/event-stream' }, signal: silent.signal })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      clearTimeout(timer)
      timer = setTimeout(() => silent.abort(), SILENT_MS)
      text += value
      const parts = text.split('\n\n')
      text = parts.pop() ?? ''
      for (const part of parts) take(part)
    }
  } finally {
    clearTimeout(timer)
    stop()
  }
}

function take(part: string): void {
  const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? []
  if (!data) return
  if (event === 'history') begin(JSON.parse(data))
  if (event === 'moment') add(JSON.parse(data))
  lost.value = ''
}

function begin({ series, points }: { series: string[]; points: (number | null)[][] }): void {
  recorded.value = {
    at: points.map(([at]) => at! / 1_000),
    series: Object.fromEntries(series.map((name, i) => [name, points.map((point) => point[i + 1] ?? null)])),
  }
}

function add(now: Moment): void {
  moment.value = now
  const { at, series } = recorded.value
  const values: Record<string, number | null> = {
    ...now.rates,
    backlog: now.backlog,
    oldest: now.oldest,
    dead: now.dead,
  }
  const from = at.findIndex((time) => time > (now.at - HOUR_MS) / 1_000)
  const keep = <Value>(list: Value[], value: Value) => [...(from > 0 ? list.slice(from) : list), value]
  if (at.at(-1) === now.at / 1_000) return
  recorded.value = {
    at: keep(at, now.at / 1_000),
    series: Object.fromEntries(Object.entries(series).map(([name, list]) => [name, keep(list, values[name] ?? null)])),
  }
}
