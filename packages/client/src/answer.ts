/** What the server's answers mean. Anything that is not clearly an answer leads to another try. */
import type { Delivery, SealedEvent } from './event.js'
import { EventRejected, type Problem, RequestFailed } from './failure.js'
import type { Answer, Reply } from './http.js'
import type { Again } from './retry.js'

/** The verdict on one event of a request. */
type Verdict = Delivery | 'again'

/**
 * What the answer to a request with events means. `halve`: the whole request was refused, though a single event may be
 * the reason.
 */
export type Judgement = { verdicts: Verdict[]; again?: Again } | 'halve'

/** Refusals caused by the event, not by the request: malformed, id taken, too large, invalid against its schema. */
const EVENT_AT_FAULT = new Set([400, 409, 413, 422])

/** Why this reply asks for another try, or `undefined` when it is final: network errors, 408, 429 and every 5xx. */
export function reasonToRetry(reply: Reply): Again | undefined {
  if ('lost' in reply) return { cause: reply.lost, retryAfterMs: 0 }
  const { status, retryAfterMs } = reply
  return status === 408 || status === 429 || status >= 500 ? { problem: problemOf(reply), retryAfterMs } : undefined
}

/** What `reply` says about each event of one request. */
export function judge(reply: Reply, events: SealedEvent[]): Judgement {
  const ids = events.map((event) => event.id)
  const again = reasonToRetry(reply)
  if (again) return everyOne(ids, again)
  const answer = reply as Answer
  if (answer.status >= 200 && answer.status < 300) {
    return ids.length === 1 ? judgeReceipt(answer.body, ids[0]!) : judgeItems(answer, ids)
  }
  const problem = problemOf(answer)
  if (!EVENT_AT_FAULT.has(answer.status)) {
    const error = new RequestFailed({ problem }, 1)
    return { verdicts: ids.map((id) => ({ status: 'undelivered', id, error })) }
  }
  if (ids.length > 1) return 'halve'
  return { verdicts: [{ status: 'rejected', id: ids[0]!, error: new EventRejected(problem) }] }
}

/** The problem in an answer's body, or only the status if the body holds no problem. */
export function problemOf(answer: Answer): Problem {
  return { ...(isObject(answer.body) ? answer.body : {}), status: answer.status }
}

function judgeReceipt(body: unknown, id: string): Judgement {
  if (!isObject(body) || body.status !== 'accepted') return everyOne([id], notOurServer(body))
  return { verdicts: [{ status: body.duplicate === true ? 'duplicate' : 'accepted', id: idOf(body, id) }] }
}

function judgeItems(answer: Answer, ids: string[]): Judgement {
  const items = isObject(answer.body) && Array.isArray(answer.body.items) ? answer.body.items.filter(isObject) : []
  const verdicts = new Array<Verdict>(ids.length).fill('again')
  let again: Again | undefined
  for (const item of items) {
    const id = ids[item.index as number]
    if (id === undefined) continue
    if (item.status === 'accepted' || item.status === 'duplicate') {
      verdicts[item.index as number] = { status: item.status, id: idOf(item, id) }
    } else if (item.status === 'rejected') {
      const problem = { status: 422, ...(isObject(item.error) ? item.error : {}) }
      if (item.retryable === true) again ??= { problem, retryAfterMs: answer.retryAfterMs }
      else
        verdicts[item.index as number] = { status: 'rejected', id: idOf(item, id), error: new EventRejected(problem) }
    }
  }
  return verdicts.includes('again') ? { verdicts, again: again ?? notOurServer(answer.body) } : { verdicts }
}

function everyOne(ids: string[], again: Again): Judgement {
  return { verdicts: ids.map(() => 'again'), again }
}

/** The reason for a retry when a success has the wrong body: the server that answered is not EventFlow. */
export function notOurServer(body: unknown): Again {
  const shown = (JSON.stringify(body) ?? 'nothing').slice(0, 200)
  return { cause: new Error(`the answer is not from an EventFlow server: ${shown}`), retryAfterMs: 0 }
}

function idOf(answer: Record<string, unknown>, sent: string): string {
  return typeof answer.id === 'string' ? answer.id : sent
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
