/** What is sent to ask for an operation, and what is answered. */
import type { OperationKind } from '@eventflow/db'
import { type TSchema, Type } from '@sinclair/typebox'
import { ErrorClass, EventIds, filterTexts } from '../answers/filter.js'
import { LOCATED, Moment } from '../http/reply.js'

/** Events a second where nothing is said: slow enough for what has only just recovered. A discard disturbs nobody. */
export const DEFAULT_RATES: Record<OperationKind, number> = {
  'replay-dead-letters': 100,
  'replay-processed': 100,
  'discard-dead-letters': 1_000,
}

const parts = (kind: OperationKind) => ({
  dry_run: Type.Optional(Type.Boolean({ description: 'Only count the events and show a few' })),
  rate: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description: `Events per second, at most; by default ${DEFAULT_RATES[kind]}`,
    }),
  ),
  reason: Type.Optional(Type.String({ maxLength: 500, pattern: '\\S', description: 'Reason, stored with the events' })),
})

const ReadAs = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: 999_999_999,
    description: 'Reads the events as if their `dataschema` named this schema version. Each matching type must have it',
  }),
)

const DeadLetterFilter = Type.Object(
  { ids: EventIds, ...filterTexts('Failed'), error_class: ErrorClass },
  { additionalProperties: false, description: 'Several fields must all match; {} matches every open dead letter' },
)

export const ReplayDeadLettersBody = Type.Object(
  {
    filter: DeadLetterFilter,
    schema_version: ReadAs,
    ...parts('replay-dead-letters'),
  },
  { additionalProperties: false, examples: [{ filter: { error_class: 'TransientError' }, dry_run: true }] },
)

export const DiscardBody = Type.Object(
  { filter: DeadLetterFilter, ...parts('discard-dead-letters') },
  {
    additionalProperties: false,
    examples: [{ filter: { error_class: 'SchemaError' }, reason: 'sent by a broken test', dry_run: true }],
  },
)

export const ReplayProcessedBody = Type.Object(
  {
    target: Type.Literal('processed', { description: 'Confirms that the effects of these events will happen again' }),
    filter: Type.Object(
      { ids: EventIds, ...filterTexts('Accepted') },
      { additionalProperties: false, minProperties: 1, description: 'Several fields must all match' },
    ),
    schema_version: ReadAs,
    ...parts('replay-processed'),
  },
  {
    additionalProperties: false,
    examples: [{ target: 'processed', filter: { type: 'order.created', from: '2024-01-01T00:00:00Z' }, dry_run: true }],
  },
)

const Operator = Type.Object({
  'x-operator': Type.Optional(
    Type.String({ description: 'Who acts, for the audit log, which also names the API key' }),
  ),
})

export const Operation = Type.Object({
  id: Type.String({ format: 'uuid' }),
  kind: Type.String({ description: 'replay-dead-letters, discard-dead-letters or replay-processed' }),
  status: Type.String({ description: 'running, finished, interrupted or cancelled' }),
  filter: Type.Object({}, { additionalProperties: true }),
  rate: Type.Integer(),
  schema_version: Type.Union([Type.Integer(), Type.Null()], {
    description: 'The schema version that a replay reads the events as',
  }),
  reason: Type.Union([Type.String(), Type.Null()]),
  requested_by: Type.String(),
  total: Type.Integer({ description: 'Events that matched at the start' }),
  done: Type.Integer(),
  started_at: Moment,
  finished_at: Type.Union([Moment, Type.Null()]),
})

const DryRun = Type.Object({
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

/** The schema of a route that begins an operation. */
export function asking({ tag, ...route }: { summary: string; description: string; tag: string; body: TSchema }) {
  return {
    ...route,
    description: `${route.description} With \`dry_run\` events are only counted. Otherwise the answer is an operation with its progress.`,
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
