/** Where a request begins to read the log: at its beginning, its end, a time, or where an earlier answer has ended. */
import { readTime } from '@eventflow/core'
import { type Db, findPositions, type LogPlace, readEntryKey, readLogEnds } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import { type LogTokens, logTokensOf, MAX_CURSOR_LENGTH } from './log-tokens.js'
import { RequestError } from './problem.js'

/** The parameter or field that says where to begin. */
export const From = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: MAX_CURSOR_LENGTH, description }))

/** Resolves with the tokens of the current incarnation: those of an earlier one are refused. */
export async function readTokens(db: Db): Promise<LogTokens> {
  return logTokensOf((await readEntryKey(db)).secret)
}

/** Returns the error of a request whose value at `pointer` is wrong. */
export function invalid(pointer: string, message: string): RequestError {
  return new RequestError('invalid-query', `${pointer} ${message}`, [{ pointer, message }])
}

const OTHERWISE = 'it is damaged, of another tenant, or from before Postgres was restored or a standby took over'

/** Whether a text is neither a cursor nor a position. */
export const isStart = (from: string) => isEnd(from) || /^\d/.test(from)

const isEnd = (from: string) => from === 'earliest' || from === 'latest'

/** Returns `earliest`, `latest`, or a time. Throws RequestError that points at anything else. */
export function checkStart(from: string, pointer: string): string {
  if (isEnd(from)) return from
  const { time, fault } = readTime(from)
  if (time === undefined) throw invalid(pointer, `is neither earliest nor latest, and ${fault}`)
  return time
}

/** Resolves with the places in these partitions at which a reader begins. `start`: what `checkStart` has returned. */
export async function readStart(db: Db, start: string, partitions: readonly number[]): Promise<LogPlace[]> {
  if (!isEnd(start)) return findPositions(db, start, partitions)
  const ends = await readLogEnds(db, partitions)
  return ends.map(({ partition, low, last }) => ({ partition, after: start === 'earliest' ? low : last }))
}

/** Returns the places of a cursor. Throws RequestError if it is not one of this tenant. */
export function readCursor(tokens: LogTokens, tenantId: string, cursor: string, pointer: string): LogPlace[] {
  const places = tokens.readCursor(tenantId, cursor)
  if (!places) throw invalid(pointer, `is not a \`next\` of the log: ${OTHERWISE}`)
  return places
}

/** Returns the place of a position. Throws RequestError if it is not one of this tenant and partition. */
export function readPosition(
  tokens: LogTokens,
  tenantId: string,
  { partition, token }: { partition: number; token: string },
  pointer: string,
): LogPlace {
  const after = tokens.readPosition(tenantId, partition, token)
  if (after === undefined) throw invalid(pointer, `is not a position of partition ${partition}: ${OTHERWISE}`)
  return { partition, after }
}
