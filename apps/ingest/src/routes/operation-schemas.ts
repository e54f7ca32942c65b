/** The schemas of the operation routes' requests and answers. */
import type { OperationKind } from '@eventflow/db'
import { type TSchema, Type } from '@sinclair/typebox'
import { EventIds, filterTexts } from '../answers/filter.js'
import { LOCATED, Moment } from '../http/reply.js'
import { ChangeFilter } from './dead-letter-parts.js'

/**
 * The default rates in events a second: slow enough for a dependency that has only just recovered. A discard affects no
 * dependency.
 */
export const DEFAULT_RATES: Record<OperationKind, number> = {
  'replay-dead-letters': 100,
  'replay-processed': 100,
  'discard-dead-letters': 1_000,
}

const parts = (kind: OperationKind) => ({
  dry_run: Type.Optional(Type.Boolean({ description: 'Only count the events and show a few of them' })),
  rate: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description: `Maximum events a second; the default is ${DEFAULT_RATES[kind]}`,
    }),
  ),
  reason: Type.Optional(
    Type.String({ maxLength: 500, pattern: '\\S', description: 'The reason, kept with the events' }),
  ),
})

const ReadAs = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: 999_999_999,
    description: 'Read the events as if they named this schema version in `dataschema`. Each type must have it',
  }),
)

export const ReplayDeadLettersBody = Type.Object(
  {
    filter: ChangeFilter,
    schema_version: ReadAs,
    ...parts('replay-dead-letters'),
  },
  { additionalProperties: false, examples: [{ filter: { error_class: 'TransientError' }, dry_run: true }] },
)

export const DiscardBody = Type.Object(
  { filter: ChangeFilter, ...parts('discard-dead-letters') },
  {
    additionalProperties: false,
    examples: [{ filter: { error_class: 'SchemaError' }, reason: 'sent by a broken test', dry_run: true }],
  },
)

export const ReplayProcessedBody = Type.Object(
  {
    target: Type.Literal('processed', {
      description: 'Required as a reminder: the effects of these events will happen again',
    }),
    filter: Type.Object(
      { ids: EventIds, ...filterTexts('Accepted') },
      { additionalProperties: false, minProperties: 1, description: 'All given parts must match' },
    ),
    schema_version: ReadAs,
    ...parts('replay-processed'),
  },
  {
    additionalProperties: false,
    examples: [{ target: 'processed', filter: { type: 'order.created', from: '2024-01-01T00:00:00Z' }, dry_run: true }],
  },
)

/** The headers of requests that change something. */
export const Operator = Type.Object({
  'x-operator': Type.Optional(
    Type.String({ description: 'The operator’s name, for the audit log. It is recorded beside the API key' }),
  ),
})

export const Operation = Type.Object({
  id: Type.String({ format: 'uuid' }),
  kind: Type.String({ description: 'replay-dead-letters, discard-dead-letters or replay-processed' }),
  status: Type.String({ description: 'running, finished, interrupted or cancelled' }),
  filter: Type.Object({}, { additionalProperties: true }),
  rate: Type.Integer(),
  schema_version: Type.Union([Type.Integer(), Type.Null()], {
    description: 'The version that a replay reads the events as',
  }),
  reason: Type.Union([Type.String(), Type.Null()]),
  requested_by: Type.String(),
  total: Type.Integer({ description: 'Events that matched at the time of the request' }),
  done: Type.Integer(),
  started_at: Moment,
  finished_at: Type.Union([Moment, Type.Null()]),
})

export const DryRun = Type.Object({
  count: Type.Integer(),
  samples: Type.Array(
    Type.Object({
      id: Type.String({ format: 'uuid' }),
      type: Type.String(),
      partitionkey: Type.String(),
      accepted_at: Moment,
      error_class: Type.Optional(Type.String()),
      message: Type.Optional(Type.String()),
    }),
  ),
})

/** The schema of a route that starts an operation. */
export function asking({ tag, ...route }: { summary: string; description: string; tag: string; body: TSchema }) {
  return {
    ...route,
    description: `${route.description} With \`dry_run\` the events are only counted; otherwise the answer is an operation with its progress.`,
    tags: [tag],
    headers: Operator,
    response: { 200: DryRun, 202: Type.Object(Operation.properties, LOCATED) },
  }
}

/** The schema of a route about one operation. */
export function following(summary: string, description: string) {
  return {
    summary,
    description,
    tags: ['operations'],
    headers: Operator,
    params: Type.Object({ id: Type.String({ maxLength: 200 }) }),
    response: { 200: Operation },
  }
}
