/** The schemas of the event routes' requests and answers, for the documentation. */
import { EVENT_STATUSES } from '@eventflow/core'
import { Type } from '@sinclair/typebox'
import type { FastifySchema } from 'fastify'
import { CloudEventSchema, IncomingEventSchema } from '../door/admit.js'
import { Source } from '../http/event-name.js'
import { ProblemSchema } from '../http/problem.js'
import { ENCODINGS } from '../http/receive.js'
import { LOCATED, Moment } from '../http/reply.js'
import { Wait } from '../http/wait.js'

/** `admit` checks events, both single ones and batches; the schema of a body is only documentation. */
export const checkedByAdmit = () => () => true

/** The headers with a meaning, for the documentation. */
const Headers = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        'For events without an id: the same key means the same event; with another event it is answered 422. One key covers a whole batch, whose events are told apart by position',
      examples: ['"order-4711"'],
    }),
  ),
  'content-encoding': Type.Optional(Type.String({ enum: ENCODINGS, description: 'The compression of the body' })),
  'x-correlation-id': Type.Optional(
    Type.String({ description: 'For events without a correlationid; repeated in the answer' }),
  ),
  traceparent: Type.Optional(Type.String({ description: 'W3C trace context, for events without one' })),
})

const asCloudEvent = (example: object, n: number) => ({
  specversion: '1.0',
  id: `example-${n + 1}`,
  source: '/docs',
  ...example,
})

export const singleSchema = (examples: readonly object[]): FastifySchema => ({
  summary: 'Send one event',
  description: [
    '202 means that the event is durable: it is committed in Postgres and will be settled exactly once.',
    'A CloudEvent may be sent in structured mode, or in binary mode: attributes in `ce-…` headers, data as application/json.',
  ].join(' '),
  tags: ['events'],
  headers: Headers,
  body: {
    content: {
      'application/json': { schema: { ...IncomingEventSchema, examples } },
      'application/cloudevents+json': { schema: { ...CloudEventSchema, examples: examples.map(asCloudEvent) } },
    },
  },
  response: {
    202: Type.Object(
      {
        id: Type.String({ format: 'uuid' }),
        status: Type.Literal('accepted'),
        duplicate: Type.Boolean(),
      },
      LOCATED,
    ),
  },
})

export const batchSchema = (examples: readonly object[]): FastifySchema => ({
  summary: 'Send many events',
  description:
    'A JSON array, a CloudEvents batch, or one event a line as application/x-ndjson. Each event gets its own answer: an invalid event does not affect the others.',
  tags: ['events'],
  headers: Headers,
  body: {
    content: {
      'application/json': { schema: { type: 'array', items: IncomingEventSchema, examples: [examples] } },
      'application/cloudevents-batch+json': {
        schema: { type: 'array', items: CloudEventSchema, examples: [examples.map(asCloudEvent)] },
      },
      'application/x-ndjson': {
        schema: { type: 'string', examples: [examples.map((e) => JSON.stringify(e)).join('\n')] },
      },
    },
  },
  response: {
    200: Type.Object({
      accepted: Type.Integer(),
      duplicate: Type.Integer(),
      rejected: Type.Integer(),
      items: Type.Array(
        Type.Object({
          index: Type.Integer(),
          id: Type.Union([Type.String(), Type.Null()]),
          status: Type.Union([Type.Literal('accepted'), Type.Literal('duplicate'), Type.Literal('rejected')]),
          error: Type.Optional(ProblemSchema),
          retryable: Type.Optional(Type.Boolean()),
        }),
      ),
    }),
  },
})

const Anything = Type.Object({}, { additionalProperties: true })

/** The attributes of an event in every answer that shows one. */
export const attributes = {
  id: Type.String({ format: 'uuid' }),
  external_id: Type.Optional(Type.String({ description: 'The id the event was sent with, if it differs from `id`' })),
  type: Type.String(),
  source: Type.String(),
  time: Moment,
  partitionkey: Type.String(),
  partition: Type.Integer(),
  correlationid: Type.String(),
  causationid: Type.Optional(Type.String()),
}

const Story = Type.Object({
  ...attributes,
  traceparent: Type.Optional(Type.String()),
  trace_url: Type.Optional(Type.String()),
  extensions: Type.Optional(Anything),
  status: Type.String({ enum: [...EVENT_STATUSES] }),
  attempts: Type.Integer(),
  timeline: Type.Array(
    Type.Object({
      at: Moment,
      what: Type.String(),
      detail: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    }),
    { description: 'The changes of the event, in order, and the next attempt that is due' },
  ),
  failure: Type.Optional(
    Type.Object({
      failure_type: Type.String(),
      error_class: Type.String(),
      message: Type.String(),
      component: Type.String(),
      errors: Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() })),
    }),
  ),
  dead_in: Type.Optional(
    Type.Array(
      Type.Object({
        group: Type.String(),
        status: Type.String({ description: 'open, replaying or discarded' }),
        error_class: Type.String(),
        message: Type.String(),
      }),
      { description: 'The consumer groups of the tenant that have failed to handle it, by name' },
    ),
  ),
  data: Type.Object({}, { additionalProperties: true, description: 'The data as sent' }),
  result: Type.Optional(
    Type.Object({}, { additionalProperties: true, description: 'The data as processed: with enrichment and defaults' }),
  ),
})

export const statusSchema: FastifySchema = {
  summary: 'Get one event',
  description:
    'Available as soon as the event is answered 202. With `wait` the answer comes when the event is settled, or after that time.',
  tags: ['events'],
  params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 200 }) }),
  querystring: Type.Object(
    {
      wait: Wait,
      source: Source,
    },
    { additionalProperties: false },
  ),
  response: { 200: Story },
}
