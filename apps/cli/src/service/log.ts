/** `eventflow log read`. */
import { createLogReader, type LogEvent, RequestFailed } from '@eventflow/client'
import { oneLine } from '../table.js'
import { explained, type Service } from './ask-service.js'
import type { ShowOptions } from './show.js'

/** The most events of a page. */
const PAGE = 1_000

export interface LogOptions extends ShowOptions {
  type?: string[]
  from?: string
  follow?: boolean
  limit?: number
  group?: string
  stop: AbortSignal
}

/**
 * Prints events of the log, and commits them for the group once they are printed. Resolves with the exit code: 1 if
 * there are none, 130 if it was stopped before the end.
 */
export async function readLog(service: Service, options: LogOptions): Promise<number> {
  const { type, from, follow = false, limit = Number.POSITIVE_INFINITY, group, json, print, note, stop } = options
  const { url, apiKey } = service
  const reader = createLogReader({ url, ...(apiKey && { apiKey }), connections: 1, giveUpAfterMs: follow ? 60_000 : 0 })
  let shown = 0
  let cursor: string | undefined
  try {
    if (group !== undefined && from !== undefined) await reader.commitPositions(group, { from })
    const begin = group === undefined ? { from } : { group }
    while (shown < limit && !stop.aborted) {
      const asked = { type, limit: Math.min(PAGE, limit - shown), ...(cursor === undefined ? begin : { from: cursor }) }
      const { value: page } = await reader.log(asked, { follow, signal: stop }).next()
      if (!page) break
      for (const event of page.items) print(json ? JSON.stringify(event) : line(event))
      shown += page.items.length
      cursor = page.next
      if (group !== undefined) await reader.commitPositions(group, { next: page.next })
      if (!page.more && !follow) break
    }
  } catch (error) {
    throw error instanceof RequestFailed ? explained(error, service) : error
  } finally {
    await reader.close()
  }
  if (shown === 0 && !follow) note('No event matches.')
  if (cursor !== undefined && group === undefined) note(`Go on with --from ${cursor}`)
  if (stop.aborted && !follow) return 130
  return shown > 0 || follow ? 0 : 1
}

function line({ processed_at, partition, type, partitionkey, id, external_id, data }: LogEvent): string {
  return oneLine(
    `${processed_at}  ${`${partition}`.padStart(3)}  ${type}  ${partitionkey}  ${external_id ?? id}  ${JSON.stringify(data)}`,
  )
}
