/** Requests to the service: JSON in and out, problems as readable errors. */
import { signal } from '@preact/signals'

/** A fault of a body or a query, and its place. */
interface Fault {
  pointer: string
  message: string
}

/** A refused request, or one without an answer. */
export class ApiError extends Error {
  readonly status: number
  readonly title: string
  readonly faults: readonly Fault[]

  constructor(status: number, title: string, detail: string, faults: readonly Fault[] = []) {
    super(detail)
    this.status = status
    this.title = title
    this.faults = faults
  }
}

/** The API key, kept in this tab only. */
export const apiKey = signal(sessionStorage.getItem('api-key') ?? '')

/** Whether the dialog that asks for a key is open. */
export const keyWanted = signal(false)

/** Whether the key was refused or is missing: no request is repeated until another key is entered. */
export const keyRefused = signal(false)

/** Counts the keys that were entered: after each one everything is read again. */
export const keysGiven = signal(0)

/** The operator's name, for the audit log. */
export const operator = signal(localStorage.getItem('operator') ?? '')

export function rememberKey(key: string): void {
  apiKey.value = key
  sessionStorage.setItem('api-key', key)
  keyWanted.value = false
  keyRefused.value = false
  keysGiven.value++
}

export function rememberOperator(name: string): void {
  operator.value = name
  localStorage.setItem('operator', name)
}

function headers(): Record<string, string> {
  return {
    ...(apiKey.value && { authorization: `Bearer ${apiKey.value}` }),
    ...(operator.value && { 'x-operator': operator.value.replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent) }),
  }
}

/** Requests something that is not JSON, such as an event stream. Rejects with ApiError. */
export async function open(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, { ...init, headers: { ...headers(), ...(init.headers as Record<string, string>) } })
  } catch (error) {
    if (init.signal?.aborted) throw error
    throw new ApiError(0, 'No answer', 'The service cannot be reached. Is it running?')
  }
  if (response.ok) return response
  if (response.status === 401) {
    keyRefused.value = true
    keyWanted.value = true
  }
  // biome-ignore lint/suspicious/noExplicitAny: a problem document, or a proxy's own answer.
  const problem: any = await response.json().catch(() => ({}))
  throw new ApiError(
    response.status,
    problem.title ?? `Status ${response.status}`,
    problem.detail ?? response.statusText,
    problem.errors,
  )
}

/** The parameters of a query; empty ones are left out. */
export type Params = Record<string, string | undefined>

export function queryOf(params: Params): string {
  const entries = Object.entries(params).filter((entry): entry is [string, string] => !!entry[1])
  return entries.length > 0 ? `?${new URLSearchParams(entries)}` : ''
}

export async function get<Answer>(path: string, params: Params = {}, signal?: AbortSignal): Promise<Answer> {
  return (await open(path + queryOf(params), signal ? { signal } : {})).json() as Promise<Answer>
}

const sending =
  (method: string) =>
  async <Answer>(path: string, body: unknown): Promise<Answer> => {
    const init = { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    return (await open(path, init)).json() as Promise<Answer>
  }

export const post = sending('POST')
export const put = sending('PUT')

export async function remove(path: string): Promise<void> {
  await open(path, { method: 'DELETE' })
}
