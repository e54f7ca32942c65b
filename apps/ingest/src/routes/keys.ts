/** Routes of API keys: those of the tenant whose admin asks. */
import { type ApiKey, createApiKey, type DbOf, listApiKeys, revokeApiKey, SCOPES, type Scope } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { RequestError } from '../http/problem.js'
import { Moment } from '../http/reply.js'
import { operatorOf, strictly } from '../http/request.js'

interface Asked {
  name: string
  scopes: Scope[]
  expires_in_days?: number
}

export function keyRoutes(app: FastifyInstance, { dbOf }: { dbOf: DbOf }): void {
  app.post<{ Body: Asked }>(
    '/v1/keys',
    { schema: createSchema, validatorCompiler: strictly, config: { problems: ['limit-reached'] } },
    async (request, reply) => {
      const { name, scopes, expires_in_days: expiresInDays } = request.body
      const { tenantId } = request.access
      const made = await createApiKey(dbOf(tenantId), { tenantId, name, scopes, expiresInDays }, operatorOf(request))
      reply.code(201).header('cache-control', 'no-store')
      return { ...describeKey(made), key: made.key }
    },
  )

  app.get('/v1/keys', { schema: listSchema }, async ({ access: { tenantId } }) => ({
    items: (await listApiKeys(dbOf(tenantId), tenantId)).map(describeKey),
  }))

  app.delete<{ Params: { id: string }; Querystring: { after_hours?: string } }>(
    '/v1/keys/:id',
    { schema: revokeSchema, validatorCompiler: strictly, config: { problems: ['key-not-found'] } },
    async (request) => {
      const { id } = request.params
      const afterHours = Number(request.query.after_hours ?? 0)
      const { tenantId } = request.access
      const revoked = await revokeApiKey(dbOf(tenantId), { tenantId, id, afterHours }, operatorOf(request))
      if (!revoked) throw new RequestError('key-not-found', `There is no key ${id} that would be valid after that time`)
      return describeKey(revoked)
    },
  )
}

function describeKey({ id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt }: ApiKey) {
  return {
    ...{ id, name, scopes },
    created_at: createdAt,
    expires_at: expiresAt,
    revoked_at: revokedAt,
    last_used_at: lastUsedAt,
  }
}

const MaybeMoment = Type.Union([Moment, Type.Null()])

const key = {
  id: Type.String({ description: 'The part of the key between the underscores' }),
  name: Type.String(),
  scopes: Type.Array(Type.String()),
  created_at: Moment,
  expires_at: MaybeMoment,
  revoked_at: Type.Union([Moment, Type.Null()], { description: 'May be in the future: the key is valid until then' }),
  last_used_at: Type.Union([Moment, Type.Null()], { description: 'Accurate to a minute' }),
}

const createSchema = {
  summary: 'Create an API key',
  description:
    'For the tenant of the requesting key. The new key may have scopes that the requesting key lacks, and may expire later. Only this answer ever shows the new key.',
  tags: ['keys'],
  body: Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: 100, description: 'The owner or purpose of the key' }),
      scopes: Type.Array(Type.Union(SCOPES.map((scope) => Type.Literal(scope))), { minItems: 1, uniqueItems: true }),
      expires_in_days: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 3_650, description: 'By default it never expires' }),
      ),
    },
    { additionalProperties: false, examples: [{ name: 'checkout', scopes: ['ingest'], expires_in_days: 365 }] },
  ),
  response: { 201: Type.Object({ ...key, key: Type.String() }) },
}

const listSchema = {
  summary: 'List the API keys',
  description: 'The keys of the tenant, the valid ones first. Never shows the keys themselves.',
  tags: ['keys'],
  response: { 200: Type.Object({ items: Type.Array(Type.Object(key)) }) },
}

const revokeSchema = {
  summary: 'Revoke an API key',
  description:
    'Requests with the key are refused within five seconds. With `after_hours` it stays valid for that long, so that its successor can be rolled out.',
  tags: ['keys'],
  params: Type.Object({ id: Type.String({ maxLength: 100 }) }),
  querystring: Type.Object(
    { after_hours: Type.Optional(Type.String({ pattern: '^[0-9]{1,4}$', description: 'Hours' })) },
    { additionalProperties: false },
  ),
  response: { 200: Type.Object(key) },
}
