/** `eventflow send`: sends one event or a whole file. */
import {
  type Client,
  createClient,
  type Delivery,
  type EventText,
  type FileRow,
  RequestFailed,
} from '@eventflow/client'
import { figure, type Progress } from '../progress.js'
import { oneLine } from '../table.js'
import { askService, explained, type Service } from './ask-service.js'
import type { ShowOptions } from './show.js'

/** How many failures are listed individually. */
const TOLD = 10

export interface SendOptions extends ShowOptions {
  progress: Progress
  stop: AbortSignal
}

/**
 * Sends the events, in order within each key, and prints the results; a row that is not an event is reported and left
 * out. Resolves with the exit code: 0, 1 if some were not accepted, 130 if it was stopped. Rejects with
 * UnreachableError if the service cannot be reached.
 */
export async function sendAll(
  service: Service,
  rows: AsyncIterable<FileRow>,
  { json, print, note, progress, stop }: SendOptions,
): Promise<number> {
  const counts = { accepted: 0, duplicate: 0, rejected: 0, undelivered: 0, spooled: 0 }
  let failed = 0
  let unreadable = false
  const tell = (
    about: { row: number; id?: string; status: Delivery['status']; error?: string | undefined },
    line: string,
  ) => {
    counts[about.status]++
    if (json) print(JSON.stringify(about))
    else if (about.error && ++failed <= TOLD) note(oneLine(line))
  }
  await withClient(service, async (client) => {
    const producer = await client.producer()
    let done = 0
    try {
      for await (const row of rows) {
        if (stop.aborted) break
        if ('error' in row) {
          const { message } = row.error
          tell({ row: row.row, status: 'rejected', error: message }, message)
          continue
        }
        const { delivery } = await producer.enqueue(row.event)
        void delivery.then((end) => {
          const [{ id, status }, error] = [end, errorOf(end)]
          tell({ row: row.row, id, status, error }, `${row.where} (${id}) is ${status}: ${error}`)
          progress.show(++done)
        })
      }
    } catch (error) {
      unreadable = true
      note(oneLine(`${(error as Error).message}; nothing after it was sent`))
    } finally {
      await producer.close(stop.aborted ? { giveUpAfterMs: 0 } : {})
      progress.end()
    }
  })
  const { accepted, duplicate, rejected, undelivered } = counts
  const summary = [`${figure(accepted)} accepted`, `${figure(duplicate)} duplicate`, `${figure(rejected)} rejected`]
  if (undelivered > 0) summary.push(`${figure(undelivered)} undelivered: safe to send again with the same ids`)
  if (json) note(summary.join(', '))
  else print(summary.join(', '))
  if (stop.aborted) return 130
  return unreadable || rejected + undelivered > 0 ? 1 : 0
}

/**
 * Sends one event and prints its id; with `waitSeconds`, waits until it is settled. Resolves with the exit code: 0, 1
 * if it was not accepted or is not processed by then. Rejects with UnreachableError if the service cannot be reached.
 */
export function sendOne(
  service: Service,
  event: EventText,
  { json, print, note, waitSeconds }: ShowOptions & { waitSeconds?: number },
): Promise<number> {
  return withClient(service, async (client) => {
    const { items } = await client.sendBatch([event])
    const { id, status } = items[0]!
    const error = errorOf(items[0]!)
    if (error) {
      note(oneLine(`${status}: ${error}`))
      return 1
    }
    if (waitSeconds === undefined) {
      print(json ? JSON.stringify({ id, status }) : `${status} ${id}`)
      return 0
    }
    const settled = (await client.event(id, { waitMs: waitSeconds * 1_000 })) as
      | { status: string; failure?: { message: string } }
      | undefined
    print(
      json
        ? JSON.stringify(settled)
        : oneLine([`${settled?.status} ${id}`, settled?.failure?.message].filter(Boolean).join(': ')),
    )
    return settled?.status === 'processed' ? 0 : 1
  })
}

async function withClient<Result>(service: Service, work: (client: Client) => Promise<Result>): Promise<Result> {
  const { url, apiKey } = service
  // The client tries for a minute; with a wrong address, the user need not wait that long.
  await askService(service, (operator) => operator.ping())
  const client = createClient({ url, ...(apiKey && { apiKey }) })
  try {
    return await work(client)
  } catch (error) {
    throw error instanceof RequestFailed ? explained(error, service) : error
  } finally {
    await client.close()
  }
}

const errorOf = (delivery: Delivery) => ('error' in delivery ? delivery.error.message : undefined)
