/** The schemas of the schema routes' requests and answers. */
import { type TSchema, Type } from '@sinclair/typebox'
import { LOCATED, Moment } from '../http/reply.js'

const Mode = Type.String({
  description: 'NONE, BACKWARD, FORWARD or FULL; with _TRANSITIVE compared with all versions',
})
const Operator = Type.Object({
  'x-operator': Type.Optional(Type.String({ description: 'The operator’s name, for the audit log' })),
})
const params = Type.Object({ type: Type.String({ minLength: 1, maxLength: 200, description: 'Event type' }) })

const AnySchema = Type.Object({}, { additionalProperties: true, description: 'JSON Schema 2020-12 of `data`' })

const example = {
  schema: {
    type: 'object',
    properties: { sku: { type: 'string', minLength: 1 }, quantity: { type: 'integer' } },
    required: ['sku', 'quantity'],
    additionalProperties: false,
  },
}

const GivenSchema = Type.Object({ schema: AnySchema }, { additionalProperties: false, examples: [example] })

const version = {
  version: Type.Integer(),
  origin: Type.String({ description: 'code (from a definition) or api' }),
  registered_by: Type.String(),
  registered_at: Moment,
}

const summarised = (summary: string, description: string, rest: Record<string, TSchema | object>) => ({
  summary,
  description,
  tags: ['schemas'],
  ...rest,
})

export const listSchema = summarised('List the types that have a schema', 'Sorted by name.', {
  response: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          type: Type.String(),
          latest: Type.Integer({ description: 'The last version' }),
          versions: Type.Integer({ description: 'The number of versions' }),
          compatibility: Mode,
          registered_at: Moment,
        }),
      ),
    }),
  },
})

export const typeSchema = summarised('Get the schema of a type', 'The last version, and the list of all versions.', {
  params,
  response: {
    200: Type.Object({
      type: Type.String(),
      compatibility: Mode,
      latest: Type.Object({ ...version, schema: AnySchema }),
      versions: Type.Array(Type.Object(version)),
    }),
  },
})

export const registerRouteSchema = summarised(
  'Register a schema',
  'The schema becomes the next version, unless it equals the last one (200). Versions never change. Running workers load it within seconds.',
  {
    headers: Operator,
    params,
    body: GivenSchema,
    response: {
      200: Type.Object({ type: Type.String(), version: Type.Integer() }, LOCATED),
      201: Type.Object({ type: Type.String(), version: Type.Integer() }, LOCATED),
    },
  },
)

export const versionSchema = summarised('Get one version of a schema', 'As registered.', {
  params: Type.Object({
    ...params.properties,
    version: Type.String({ pattern: '^[1-9]\\d{0,8}$', description: 'A number from 1' }),
  }),
  response: { 200: Type.Object({ type: Type.String(), ...version, schema: AnySchema }) },
})

export const checkSchema = summarised(
  'Check a schema',
  'Whether the schema could be registered as the next version, and if not, which path breaks which rule. Changes nothing.',
  {
    params,
    body: GivenSchema,
    response: {
      200: Type.Object({
        compatible: Type.Boolean(),
        compatibility: Mode,
        incompatibilities: Type.Array(
          Type.Object({
            version: Type.Integer({ description: 'The version that the schema is not compatible with' }),
            direction: Type.String({ description: 'backward or forward' }),
            path: Type.String({ description: 'Place in the schema, as a JSON pointer' }),
            rule: Type.String({ description: 'Name of the rule, as in Confluent’s Schema Registry' }),
            message: Type.String(),
          }),
        ),
      }),
    },
  },
)

export const usageSchema = summarised(
  'Get the use of a schema',
  'Examines the latest events of the pipeline, and shows which versions those of this type name in `dataschema`, and which fields they have. Older events are not examined.',
  {
    params,
    response: {
      200: Type.Object({
        looked_at: Type.Integer({ description: 'The number of latest events examined, of all types' }),
        versions: Type.Array(
          Type.Object({
            version: Type.Union([Type.Integer(), Type.Null()], { description: 'null: the events name no version' }),
            events: Type.Integer(),
            last_accepted_at: Moment,
          }),
        ),
        fields: Type.Array(Type.Object({ name: Type.String(), events: Type.Integer() }), {
          description: 'The top-level names in `data` of events that name no version; the 100 most frequent',
        }),
      }),
    },
  },
)

const Current = Type.Object({ compatibility: Mode })

export const readModeSchema = summarised('Get the compatibility mode of a type', 'The default is BACKWARD.', {
  params,
  response: { 200: Current },
})

export const modeSchema = (modes: readonly string[]) =>
  summarised('Set the compatibility mode of a type', 'Applies to versions registered from now on.', {
    headers: Operator,
    params,
    body: Type.Object(
      { compatibility: Type.Union(modes.map((mode) => Type.Literal(mode))) },
      { additionalProperties: false, examples: [{ compatibility: 'FULL' }] },
    ),
    response: { 200: Current },
  })
