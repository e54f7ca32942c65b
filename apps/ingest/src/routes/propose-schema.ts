/** Examines a proposed next schema version of a type; registers it, or refuses it with the reasons. */
import { createTurns, type Problem } from '@eventflow/core'
import { type DbOf, readCompatibility, readSchemaVersions } from '@eventflow/db'
import { NotAcceptedError } from '@eventflow/intake'
import { createExaminer, type Incompatibility, registerSchema } from '@eventflow/schemas'
import type { FastifyReply, FastifyRequest, RequestPayload } from 'fastify'
import { Flawed, ROUNDED } from '../http/exact-json.js'
import { RequestError } from '../http/problem.js'
import { operatorOf, strictly } from '../http/request.js'

/** A request about one type. */
export interface OfType {
  Params: { type: string }
}

/** A request with a schema. */
export interface Given extends OfType {
  Body: { schema: object }
}

/**
 * One at a time for each tenant: every examination keeps all versions of its type in memory (up to 200 of 64 KiB) while
 * it waits for its turn among the tenants.
 */
const EXAMINED_OF_A_TENANT = { atOnce: Number.POSITIVE_INFINITY, atOnceEach: 1, waitingEach: 10 }

/** Like `strictly`, for a body with a schema: data is compared with its numbers, so a text must not replace one. */
export const schemaExactly: typeof strictly = (route) => {
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

/** Creates the handlers of requests with a schema. The schemas of a tenant are examined one at a time. */
export function createProposals(dbOf: DbOf) {
  const examine = createExaminer()
  const turns = createTurns(EXAMINED_OF_A_TENANT)
  /** A hook that refuses a tenant with too many such requests before the body is read. */
  const refuseEarly = async ({ access }: FastifyRequest, _: FastifyReply, payload: RequestPayload) => {
    turns.require(access.tenantId)
    return payload
  }

  async function register(request: FastifyRequest<Given>, reply: FastifyReply) {
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
  }

  async function check(request: FastifyRequest<Given>) {
    const subject = subjectOf(request)
    const db = dbOf(subject.tenantId)
    return turns.run(subject.tenantId, async () => {
      const [earlier, mode] = [await readSchemaVersions(db, subject), await readCompatibility(db, subject)]
      const { faults, incompatibilities } = await examine(subject.tenantId, request.body.schema, mode, earlier)
      if (faults.length > 0) throw invalid(faults)
      return { compatible: incompatibilities.length === 0, compatibility: mode, incompatibilities }
    })
  }

  return { refuseEarly, register, check }
}

/** The tenant and the event type of a request. */
export const subjectOf = ({ access, params }: FastifyRequest<{ Params: { type: string } }>) => ({
  tenantId: access.tenantId,
  type: params.type,
})

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
