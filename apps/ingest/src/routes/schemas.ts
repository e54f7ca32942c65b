/** Routes of event types' schemas: registered versions, their use, new versions, the compatibility mode. */
import { COMPATIBILITY_MODES, type CompatibilityMode } from '@eventflow/core'
import {
  type DbOf,
  findSchemaVersion,
  listSchemaTypes,
  type Reads,
  readCompatibility,
  readSchemaUsage,
  readSchemaVersions,
  type SchemaUsage,
  type SchemaVersion,
  setCompatibility,
} from '@eventflow/db'
import { statedVersion } from '@eventflow/schemas'
import type { FastifyInstance } from 'fastify'
import { RequestError } from '../http/problem.js'
import { operatorOf, strictly } from '../http/request.js'
import { createProposals, type Given, type OfType, schemaExactly, subjectOf } from './propose-schema.js'
import {
  checkSchema,
  listSchema,
  modeSchema,
  readModeSchema,
  registerRouteSchema,
  typeSchema,
  usageSchema,
  versionSchema,
} from './schema-schemas.js'

/** Declares the routes of schemas. */
export function schemaRoutes(app: FastifyInstance, { dbOf, reads }: { dbOf: DbOf; reads: Reads }): void {
  const proposals = createProposals(dbOf)

  app.get('/v1/schemas', { schema: listSchema }, async ({ access: { tenantId } }) => {
    const types = await listSchemaTypes(dbOf(tenantId), tenantId)
    return { items: types.map(({ registeredAt, ...type }) => ({ ...type, registered_at: registeredAt })) }
  })

  app.get<OfType>(
    '/v1/schemas/:type',
    { schema: typeSchema, validatorCompiler: strictly, config: { problems: ['schema-not-found'] } },
    async (request) => {
      const subject = subjectOf(request)
      const db = dbOf(subject.tenantId)
      const versions = await readSchemaVersions(db, subject)
      const latest = versions.at(-1)
      if (!latest) throw notFound(`No schema of the type ${subject.type} is registered`)
      return {
        type: subject.type,
        compatibility: await readCompatibility(db, subject),
        latest: describeVersion(latest),
        versions: versions.map((version) => ({ ...describeVersion(version), schema: undefined })),
      }
    },
  )

  app.put<Given>(
    '/v1/schemas/:type',
    {
      preParsing: proposals.refuseEarly,
      schema: registerRouteSchema,
      validatorCompiler: schemaExactly,
      config: { problems: ['schema-refused', 'schema-incompatible', 'limit-reached'] },
    },
    proposals.register,
  )

  app.get<{ Params: { type: string; version: string } }>(
    '/v1/schemas/:type/versions/:version',
    { schema: versionSchema, validatorCompiler: strictly, config: { problems: ['schema-not-found'] } },
    async (request) => {
      const subject = subjectOf(request)
      const db = dbOf(subject.tenantId)
      const { version } = request.params
      const found = await findSchemaVersion(db, subject, Number(version))
      if (!found) throw notFound(`No version ${version} of the schema of the type ${subject.type} is registered`)
      return { type: subject.type, ...describeVersion(found) }
    },
  )

  app.post<Given>(
    '/v1/schemas/:type/check',
    {
      preParsing: proposals.refuseEarly,
      schema: checkSchema,
      validatorCompiler: schemaExactly,
      config: { problems: ['schema-refused'] },
    },
    proposals.check,
  )

  app.get<OfType>('/v1/schemas/:type/usage', { schema: usageSchema, validatorCompiler: strictly }, async (request) => {
    const subject = subjectOf(request)
    return describeUsage(subject.type, await reads.of(subject.tenantId)((db) => readSchemaUsage(db, subject)))
  })

  app.get<OfType>(
    '/v1/schemas/:type/compatibility',
    { schema: readModeSchema, validatorCompiler: strictly },
    async (request) => ({
      compatibility: await readCompatibility(dbOf(request.access.tenantId), subjectOf(request)),
    }),
  )

  app.put<OfType & { Body: { compatibility: CompatibilityMode } }>(
    '/v1/schemas/:type/compatibility',
    { schema: modeSchema(COMPATIBILITY_MODES), validatorCompiler: strictly, config: { problems: ['limit-reached'] } },
    async (request) => {
      const { compatibility } = request.body
      const subject = subjectOf(request)
      await setCompatibility(dbOf(subject.tenantId), { ...subject, compatibility, by: operatorOf(request) })
      return { compatibility }
    },
  )
}

function describeVersion({ version, schema, origin, registeredBy, registeredAt }: SchemaVersion) {
  return { version, schema, origin, registered_by: registeredBy, registered_at: registeredAt }
}

/** Combines events that state the same version in different words. */
function describeUsage(type: string, { lookedAt, named, fields }: SchemaUsage) {
  const versions = new Map<number | null, { version: number | null; events: number; last_accepted_at: string }>()
  for (const { dataschema, events, last } of named) {
    const version = (dataschema && statedVersion({ type, extensions: { dataschema } })) || null
    const before = versions.get(version)
    const both = before ? [before.last_accepted_at, last].sort() : [last]
    versions.set(version, { version, events: events + (before?.events ?? 0), last_accepted_at: both.at(-1)! })
  }
  return { looked_at: lookedAt, versions: [...versions.values()], fields }
}

const notFound = (detail: string) => new RequestError('schema-not-found', detail)
