/** The schemas of the consumer groups' requests and answers. */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { LOCATED, Moment } from '../http/reply.js'
import { Operator } from './operation-schemas.js'

const OrNull = <Schema extends TSchema>(schema: Schema, description: string) =>
  Type.Union([schema, Type.Null()], { description })

export const GroupName = Type.Object({ name: Type.String({ maxLength: 200 }) })

const Lag = Type.Object({
  events: Type.Integer({ description: 'Events of its types that it has not read yet' }),
  more: Type.Boolean({ description: 'There may be more: not all entries of the log were looked at' }),
  seconds: Type.Number({ description: 'Since the first of them was settled' }),
})

const Parked = Type.Integer({
  description: 'Events that need another attempt, or wait behind one; counted up to 10,000',
})
const Dead = Type.Integer({ description: 'Open dead letters; counted up to 10,000' })

const Place = Type.Union(
  [
    Type.String({ enum: ['earliest', 'latest'] }),
    Type.Object(
      {
        time: Type.Optional(Type.String({ format: 'date-time' })),
        position: Type.Optional(Type.Integer({ minimum: 0 })),
      },
      { additionalProperties: false, minProperties: 1, maxProperties: 1 },
    ),
  ],
  {
    description:
      '`earliest`: the oldest event that is kept; `latest`: the end of the log; a time: what was settled then or later; a position: what lies above it',
  },
)

const group = {
  name: Type.String(),
  kind: Type.String({
    description: 'consumer, window or join: defined in code, run by workers; external: read by a program over HTTP',
  }),
  version: Type.Integer(),
  generation: Type.Integer(),
  types: Type.Array(Type.String(), { description: 'The event types that it reads; all if empty' }),
  created_at: Moment,
  paused: OrNull(Type.Object({ reason: Type.String(), by: Type.String(), at: Moment }), 'Why it is paused, if it is'),
  reset: OrNull(
    Type.Object({
      status: Type.String({ description: 'pending: a worker that has its definition will perform it; failed' }),
      to: Type.Optional(Place),
      requested_by: Type.String(),
      requested_at: Moment,
      error: Type.Optional(Type.String({ description: 'Why it failed, or its last try' })),
    }),
    'The reset that waits, or the last one if it failed',
  ),
  owners: Type.Array(Type.String(), { description: 'The workers that read it' }),
  lag: Lag,
  parked: Parked,
  dead_letters: Dead,
}

const Watermark = Type.Object({ min: Moment, max: Moment })

/** What a window or a join holds of all tenants. */
const ofState = {
  open_windows: Type.Optional(Type.Integer({ description: 'Of a window: panes and sessions that are not closed' })),
  results: Type.Optional(Type.Integer({ description: 'Of a window: results that are kept' })),
  waiting: Type.Optional(Type.Integer({ description: 'Of a join: events that may still be joined with others' })),
  late_events: Type.Integer({ description: 'Events that came too late' }),
  watermark: OrNull(Watermark, 'The lowest and the highest of all partitions and tenants'),
  watermark_lag_seconds: OrNull(
    Type.Number(),
    'Since the lowest watermark, where something is due by the clock; null if nothing closes without later events',
  ),
  lagging: OrNull(Type.Object({ partition: Type.Integer(), tenant: Type.String() }), 'Where that watermark is'),
  building: OrNull(
    Type.Object({
      generation: Type.Integer(),
      done: Type.Number({ description: 'The share of the log that it has read, from 0 to 1' }),
    }),
    'The generation that is being built from the log, and will replace the current one',
  ),
}

export const Group = Type.Object({
  ...group,
  state: Type.Optional(
    Type.Object(ofState, { description: 'Of a window or a join, for all tenants; counted up to 10,000' }),
  ),
})

const ofOperator = `; only for keys of the operator's tenant`

export const WholeGroup = Type.Object({
  ...Group.properties,
  partitions: Type.Array(
    Type.Object({
      partition: Type.Integer(),
      owner: OrNull(Type.String(), 'The worker that reads it'),
      lag: Lag,
      parked: Parked,
      dead_letters: Dead,
      watermark: Type.Optional(OrNull(Watermark, 'Of a window or a join: the lowest and the highest of all tenants')),
      position: Type.Optional(Type.Integer({ description: `The last position handled${ofOperator}` })),
      last: Type.Optional(Type.Integer({ description: `The last position of the log${ofOperator}` })),
      low: Type.Optional(Type.Integer({ description: `Events up to this position were removed${ofOperator}` })),
    }),
  ),
})

/** The schema of a route that changes a group. */
const changing = <Body extends TSchema>(summary: string, description: string, body: Body, answer: object) => ({
  ...{ summary, description, tags: ['groups'], headers: Operator, params: GroupName, body },
  response: answer,
})

const Changed = (status: string, more = {}) =>
  Type.Object({ name: Type.String(), status: Type.Literal(status), ...more })

export const pauseSchema = changing(
  'Pause a group',
  'Its workers notice within a second, and finish the batch that they are handling. It stays paused until it is resumed, also over restarts. A program that reads a paused group over HTTP is refused.',
  Type.Object(
    { reason: Type.String({ maxLength: 500, pattern: '\\S', description: 'Shown with the group' }) },
    { additionalProperties: false, examples: [{ reason: 'the invoice service is being moved' }] },
  ),
  { 200: Changed('paused') },
)

export const resumeSchema = changing(
  'Resume a group',
  'If retention has removed events that the group had not read, it is refused without `skip_lost`.',
  Type.Object(
    {
      skip_lost: Type.Optional(
        Type.Boolean({ description: 'Go on behind events that were removed before they were read' }),
      ),
    },
    { additionalProperties: false, examples: [{ skip_lost: true }] },
  ),
  {
    200: Changed('running', {
      skipped_partitions: Type.Integer({ description: 'Partitions in which it goes on behind removed events' }),
    }),
  },
)

export const deleteSchema = {
  summary: 'Delete a group',
  description:
    'Its position, parked events and dead letters are deleted with it. Refused while a worker reads it: remove its definition first. A group of the same name that is made later begins anew.',
  ...{ tags: ['groups'], headers: Operator, params: GroupName },
  response: { 200: Changed('deleted') },
}

const ResetBody = Type.Object(
  {
    to: Place,
    dry_run: Type.Optional(
      Type.Boolean({ description: 'Only say how many events would be handled again, or skipped' }),
    ),
    emit: Type.Optional(
      Type.Literal('new', {
        description: 'Events that the group emits again are new ones. By default those that exist are not repeated',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ to: 'earliest', dry_run: true }] },
)

export type SentReset = Static<typeof ResetBody>

const Reset = Type.Object({
  name: Type.String(),
  status: Type.String({ description: 'dry-run, done or pending' }),
  again: Type.Optional(Type.Integer({ description: 'Events that would be handled again' })),
  skipped: Type.Optional(Type.Integer({ description: 'Events that would be skipped' })),
  more: Type.Optional(Type.Boolean({ description: 'There may be more: not all entries of the log were looked at' })),
  partitions: Type.Optional(
    Type.Array(
      Type.Object({
        partition: Type.Integer(),
        from: Type.Optional(Type.Integer({ description: `The position now${ofOperator}` })),
        to: Type.Optional(Type.Integer({ description: `The position after the reset${ofOperator}` })),
        again: Type.Integer(),
        skipped: Type.Integer(),
        more: Type.Boolean(),
      }),
    ),
  ),
})

export const resetSchema = changing(
  'Reset a group to another place of the log',
  'A worker that has the definition of the group moves it, in one transaction with what the definition’s `reset` undoes. Parked events and dead letters above the new position are forgotten, because they are read again; those below stay. If no worker has done it within some seconds, the answer is 202, and the reset waits for one. Another reset replaces it. A group that a program reads over HTTP is reset at once: stop the program first, because what it still commits moves the group on. A position is only for keys of the operator’s tenant.',
  ResetBody,
  { 200: Reset, 202: Type.Object(Reset.properties, LOCATED) },
)
