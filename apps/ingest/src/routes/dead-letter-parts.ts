/** What the routes of the pipeline's dead letters and of the groups' have in common. */
import { type Db, DEAD_LETTER_STATUSES, type DeadLetterStatus } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import { describeWholeDeadLetter } from '../answers/describe-dead-letter.js'
import { ErrorClass, EventIds, filterTexts, type SentFilter } from '../answers/filter.js'
import { describeAbsence, findEventId, Source } from '../http/event-name.js'
import { PageQuery, type SentPage } from '../http/paging.js'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'

/** The query of a list. */
export interface ListQuery extends Omit<SentFilter, 'ids'>, SentPage {
  status?: DeadLetterStatus | 'all'
}

export const ListParameters = {
  status: Type.Optional(
    Type.Union(
      [...DEAD_LETTER_STATUSES, 'all'].map((status) => Type.Literal(status)),
      { description: 'The default is open' },
    ),
  ),
  ...filterTexts('Failed'),
  error_class: ErrorClass,
  ...PageQuery,
}

/** Which open ones are to be replayed or discarded. */
export const ChangeFilter = Type.Object(
  { ids: EventIds, ...filterTexts('Failed'), error_class: ErrorClass },
  { additionalProperties: false, description: 'All given parts must match; {} matches every open dead letter' },
)

/** What is told of those of other tenants, too. */
export const ofAny = {
  type: Type.String(),
  status: Type.String({ description: 'open, replaying, replayed or discarded' }),
  attempts: Type.Integer({ description: 'Since it was accepted or replayed' }),
  accepted_at: Moment,
  failed_at: Moment,
}

export const ofOwn = {
  id: Type.String({ format: 'uuid' }),
  partitionkey: Type.String(),
  correlationid: Type.String(),
  resolved_at: Type.Optional(Moment),
  resolved_by: Type.Optional(Type.String({ description: 'Who replayed or discarded it' })),
  reason: Type.Optional(Type.String()),
}

export const failureOfAny = {
  failure_type: Type.String({ description: 'permanent or transient' }),
  error_class: Type.String(),
  component: Type.String(),
}

/** The parameters of the request for one. */
export const OneId = Type.String({ minLength: 1, maxLength: 200 })
export const OneQuery = Type.Object({ source: Source }, { additionalProperties: false })

/** One with all fields. */
export const WholeDeadLetter = Type.Object({
  ...ofOwn,
  ...ofAny,
  failure: Type.Object({
    ...failureOfAny,
    message: Type.String(),
    errors: Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() })),
  }),
  worker_id: Type.String(),
  partition: Type.Integer(),
  history: Type.Array(Type.Object({}, { additionalProperties: true }), {
    description:
      'Every attempt, oldest first. An entry with the number 0 marks a replay; attempts after it count from 1 again',
  }),
  data: Type.Object({}, { additionalProperties: true }),
})

/**
 * Resolves with the dead letter, found by `find`, of the event with an id and a source. Rejects with RequestError if
 * there is none.
 */
export async function describeOne(
  db: Db,
  named: { tenantId: string; id: string; source: string | undefined },
  find: (id: string) => Promise<Parameters<typeof describeWholeDeadLetter>[0] | undefined>,
) {
  const id = await findEventId(db, named)
  const row = id && (await find(id))
  if (!row) throw new RequestError('dead-letter-not-found', describeAbsence(named, 'has failed'))
  return describeWholeDeadLetter(row)
}

/** Throws RequestError if a discard has no reason; `done`: what will never be done with the events. */
export function requireReason({ dry_run, reason }: { dry_run?: boolean; reason?: string }, done: string): void {
  if (dry_run || reason !== undefined) return
  const problem = { pointer: '/reason', message: `is missing: give the reason why they will never be ${done}` }
  throw new RequestError('invalid-query', `${problem.pointer} ${problem.message}`, [problem])
}
