/** The route of event types, for clients that send events. */
import { DEFAULT_RETRY_POLICY } from '@eventflow/core'
import type { EventDefinition } from '@eventflow/sdk'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { sensitivePointers } from '../answers/sensitive.js'

export function eventTypeRoutes(
  app: FastifyInstance,
  { definitions }: { definitions: ReadonlyMap<string, EventDefinition> },
): void {
  const items = [...definitions.values()].map(describeType).sort((a, b) => (a.type < b.type ? -1 : 1))
  app.get('/v1/event-types', { schema }, async () => ({ items }))
}

function describeType({ type, description, schema, example, retry, ...rest }: EventDefinition) {
  const { order = 'key', enrich = [], validateAt = 'worker', upcast = {} } = rest
  return {
    type,
    ...(description && { description }),
    schema,
    ...(example && { example }),
    sensitive: sensitivePointers(schema),
    order,
    attempts: { ...DEFAULT_RETRY_POLICY, ...retry }.attempts,
    enrichers: enrich.map(({ name }) => name),
    validate_at: validateAt,
    lifts: Object.keys(upcast).map(Number),
  }
}

const schema = {
  summary: 'List the event types',
  tags: ['events'],
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          type: Type.String(),
          description: Type.Optional(Type.String()),
          schema: Type.Object({}, { additionalProperties: true, description: 'JSON Schema of `data`' }),
          example: Type.Optional(Type.Object({}, { additionalProperties: true })),
          sensitive: Type.Array(Type.String(), {
            description: 'Paths in `data` marked `x-sensitive` in the schema; `*` is any item or name',
          }),
          order: Type.String({ description: 'key or none' }),
          attempts: Type.Integer({ description: 'Attempts before an event becomes a dead letter' }),
          enrichers: Type.Array(Type.String()),
          validate_at: Type.String({ description: 'Where data is validated first: ingest or worker' }),
          lifts: Type.Array(Type.Integer(), { description: 'The schema versions whose data the definition upcasts' }),
        }),
      ),
    }),
  },
}
