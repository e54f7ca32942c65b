/** The schemas of event types: what there is, what becomes the next version, and whether something could. */
import { COMPATIBILITY_MODES, type CompatibilityMode, createTurns, type Problem } from '@eventflow/core'
import {
  type DbOf,
  findSchemaVersion,
  listSchemaTypes,
  readCompatibility,
  readSchemaUsage,
  readSchemaVersions,
  type SchemaUsage,
  type SchemaVersion,
  setCompatibility,
} from '@eventflow/db'
import { NotAcceptedError } from '@eventflow/intake'
import { createExaminer, type Incompatibility, registerSchema, statedVersion } from '@eventflow/schemas'
import type { FastifyInstance, FastifyReply, FastifyRequest, RequestPayload } from 'fastify'
import { Flawed, ROUNDED } from '../http/exact-json.js'
import { RequestError } from '../http/problem.js'
import { operatorOf, strictly } from '../http/request.js'
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

interface OfType {
  Params: { type: string }
}

interface Given extends OfType {
  Body: { schema: object }
}

/**
 * One after the other for a tenant: each has all versions of its type in memory, which may be 200 of 64 KiB, until it
 * is examined, in turn with those of other tenants.
 */
const EXAMINED_OF_A_TENANT = { atOnce: Number.POSITIVE_INFINITY, atOnceEach: 1, waitingEach: 10 }

/** As `strictly`, where the body is a schema: its numbers are what data is compared with, and no text can stand for one. */
const strictlySchema: typeof strictly = (route) => {
  const check = strictly(route)
  return (value) => check(value instanceof Flawed ? new Flawed(value.problems.map(ofSchema), value) : value)
}

const ofSchema = ({ pointer, message }: Problem): Problem => ({
  pointer,
  message:
    message === ROUNDED
      ? `is a number that would lose precision; numbers of up to 15 digits, and integers up to ${Number.MAX_SAFE_INTEGER}, are exact`
      : message,
})

export function schemaRoutes(app: FastifyInstance, { dbOf }: { dbOf: DbOf }): void {
  const examine = createExaminer()
  const turns = createTurns(EXAMINED_OF_A_TENANT)
  // What is refused is not even read.
  const preParsing = async ({ access }: FastifyRequest, _: FastifyReply, payload: RequestPayload) => {
    turns.require(access.tenantId)
    return payload
  }

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
      preParsing,
      schema: registerRouteSchema,
      validatorCompiler: strictlySchema,
      config: { problems: ['schema-refused', 'schema-incompatible', 'limit-reached'] },
    },
    async (request, reply) => {
      const subject = subjectOf(request)
      const db = dbOf(subject.tenantId)
      const { schema } = request.body
      const asked = { ...subject, schema, by: operatorOf(request) }
      const registration = await turns.run(subject.tenantId, () => registerSchema(db, examine, asked))
      switch (registration.status) {
        case 'registered':
        case 'known': {
          const { version } = registration
          reply.code(registration.status === 'registered' ? 201 : 200)
          reply.header('location', `/v1/schemas/${encodeURIComponent(subject.type)}/versions/${version}`)
          return { type: subject.type, version }
        }
        case 'invalid':
          throw invalid(registration.faults)
        case 'incompatible':
          throw incompatible(registration)
        case 'full':
          throw new RequestError('schema-refused', 'This type has reached the limit of versions')
        case 'contended':
          throw new NotAcceptedError('overloaded')
      }
    },
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
    { preParsing, schema: checkSchema, validatorCompiler: strictlySchema, config: { problems: ['schema-refused'] } },
    async (request) => {
      const subject = subjectOf(request)
      const db = dbOf(subject.tenantId)
      return turns.run(subject.tenantId, async () => {
        const [earlier, mode] = [await readSchemaVersions(db, subject), await readCompatibility(db, subject)]
        const { faults, incompatibilities } = await examine(subject.tenantId, request.body.schema, mode, earlier)
        if (faults.length > 0) throw invalid(faults)
        return { compatible: incompatibilities.length === 0, compatibility: mode, incompatibilities }
      })
    },
  )

  app.get<OfType>('/v1/schemas/:type/usage', { schema: usageSchema, validatorCompiler: strictly }, async (request) => {
    const subject = subjectOf(request)
    return describeUsage(subject.type, await readSchemaUsage(dbOf(subject.tenantId), subject))
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

const subjectOf = ({ access, params }: FastifyRequest<{ Params: { type: string } }>) => ({
  tenantId: access.tenantId,
  type: params.type,
})

function describeVersion({ version, schema, origin, registeredBy, registeredAt }: SchemaVersion) {
  return { version, schema, origin, registered_by: registeredBy, registered_at: registeredAt }
}

/** What events say in different words about the same version, taken together. */
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

function invalid(faults: readonly Problem[]): RequestError {
  return new RequestError('schema-refused', saying(faults, 'the schema'), faults)
}

function incompatible({ mode, incompatibilities }: { mode: string; incompatibilities: readonly Incompatibility[] }) {
  const problems = incompatibilities.map(({ path, rule, message }) => ({
    pointer: path,
    message: `${rule}: ${message}`,
  }))
  const why = saying(problems, 'the schema')
  const detail = mode === 'NONE' ? `Not compatible: ${why}` : `Not ${mode} compatible: ${why}`
  return new RequestError('schema-incompatible', detail, problems)
}

const saying = (problems: readonly Problem[], whole: string) =>
  problems.map(({ pointer, message }) => `${pointer || whole} ${message}`).join('; ')
