/** Operations on many events: asked for, followed, resumed, cancelled. */
import { isUuid } from '@eventflow/core'
import {
  cancelOperation,
  countMatching,
  createOperation,
  type DbOf,
  type Extent,
  findOperation,
  findSchemaVersions,
  listOperations,
  type OperationKind,
  readSamples,
  resumeOperation,
  type Selection,
  typesMatching,
} from '@eventflow/db'
import type { EventDefinition } from '@eventflow/sdk'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { describeOperation, describeSample } from '../answers/describe-dead-letter.js'
import { readFilter } from '../answers/filter.js'
import { RequestError } from '../http/problem.js'
import { operatorOf, strictly } from '../http/request.js'
import type { Operations } from '../operations/operations.js'
import {
  asking,
  DEFAULT_RATES,
  DiscardBody,
  following,
  Operation,
  ReplayDeadLettersBody,
  ReplayProcessedBody,
} from './operation-schemas.js'

const LISTED = 50

type Asked = { Body: Static<typeof ReplayDeadLettersBody> | Static<typeof ReplayProcessedBody> }
type Followed = { Params: { id: string } }

export interface OperationDeps {
  dbOf: DbOf
  operations: Operations
  definitions: ReadonlyMap<string, EventDefinition>
}

export function operationRoutes(app: FastifyInstance, { dbOf, operations, definitions }: OperationDeps): void {
  app.post<Asked>(
    '/v1/dead-letters/replay',
    {
      schema: asking({
        summary: 'Replay dead letters',
        description:
          'Processes open dead letters again, in the order in which they were accepted. One that succeeds becomes `replayed`; one that fails is open again, with a longer history.',
        tag: 'dead letters',
        body: ReplayDeadLettersBody,
      }),
      validatorCompiler: strictly,
      config: { problems: ['schema-not-found', 'limit-reached'] },
    },
    (request, reply) => ask('replay-dead-letters', request, reply),
  )

  app.post<Asked>(
    '/v1/dead-letters/discard',
    {
      schema: asking({
        summary: 'Discard dead letters',
        description: 'Marks open dead letters as never to be processed, with a reason. They stay stored unchanged.',
        tag: 'dead letters',
        body: DiscardBody,
      }),
      validatorCompiler: strictly,
      config: { problems: ['limit-reached'] },
    },
    (request, reply) => {
      if (!request.body.dry_run && request.body.reason === undefined) {
        const problem = { pointer: '/reason', message: 'is missing: give the reason why they will never be processed' }
        throw new RequestError('invalid-query', `${problem.pointer} ${problem.message}`, [problem])
      }
      return ask('discard-dead-letters', request, reply)
    },
  )

  app.post<Asked>(
    '/v1/events/replay',
    {
      schema: asking({
        summary: 'Replay processed events',
        description:
          'Processes processed events again. **Their effects happen again**, once, and their earlier results are replaced.',
        tag: 'events',
        body: ReplayProcessedBody,
      }),
      validatorCompiler: strictly,
      config: { problems: ['schema-not-found', 'limit-reached'] },
    },
    (request, reply) => ask('replay-processed', request, reply),
  )

  app.get(
    '/v1/operations',
    {
      schema: {
        summary: 'List the latest operations',
        description: `Newest first, at most ${LISTED}.`,
        tags: ['operations'],
        response: { 200: Type.Object({ items: Type.Array(Operation) }) },
      },
    },
    async ({ access: { tenantId } }) => ({
      items: (await listOperations(dbOf(tenantId), tenantId, LISTED)).map(describeOperation),
    }),
  )

  app.get<Followed>(
    '/v1/operations/:id',
    {
      schema: following(
        'Get an operation with its progress',
        'An operation whose process died becomes `interrupted` after half a minute. No event is half done, and the operation can be resumed.',
      ),
      validatorCompiler: strictly,
      config: { problems: ['operation-not-found'] },
    },
    async (request) => describeOperation(await find(request)),
  )

  app.post<Followed>(
    '/v1/operations/:id/resume',
    {
      schema: following('Resume an operation', 'Continues an interrupted operation where it stopped.'),
      validatorCompiler: strictly,
      config: { problems: ['operation-not-found', 'operation-conflict', 'limit-reached'] },
    },
    async (request) => {
      const found = await find(request)
      const operation = await resumeOperation(dbOf(found.tenantId), found, operatorOf(request))
      if (!operation) throw new RequestError('operation-conflict', `The operation is ${found.status}, not interrupted`)
      operations.start(operation)
      return describeOperation(operation)
    },
  )

  app.post<Followed>(
    '/v1/operations/:id/cancel',
    {
      schema: following('Cancel an operation', 'Ends an operation. What it has done is not undone.'),
      validatorCompiler: strictly,
      config: { problems: ['operation-not-found', 'operation-conflict'] },
    },
    async (request) => {
      const found = await find(request)
      const operation = await cancelOperation(dbOf(found.tenantId), found, operatorOf(request))
      if (!operation) throw new RequestError('operation-conflict', `The operation is already ${found.status}`)
      return describeOperation(operation)
    },
  )

  /** Counts first. With `dry_run` that is all; otherwise an operation begins, and its progress can be followed. */
  async function ask(kind: OperationKind, request: FastifyRequest<Asked>, reply: FastifyReply) {
    const { filter, dry_run, rate = DEFAULT_RATES[kind], schema_version, reason = null } = request.body
    const { tenantId } = request.access
    const db = dbOf(tenantId)
    const selection = { kind, tenantId, filter: readFilter(filter, '/filter') }
    const extent = await countMatching(db, selection)
    if (schema_version !== undefined) await requireVersion(selection, extent, schema_version)
    if (dry_run) {
      return { count: extent.count, samples: (await readSamples(db, selection, extent)).map(describeSample) }
    }
    const schemaVersion = schema_version ?? null
    const asked = { ...selection, rate, schemaVersion, reason, requestedBy: operatorOf(request) }
    const operation = await createOperation(db, asked, extent)
    operations.start(operation)
    reply.code(202).header('location', `/v1/operations/${operation.id}`)
    return describeOperation(operation)
  }

  /** Throws RequestError that names a type of those that match that has no such version, nor code that lifts it. */
  async function requireVersion(selection: Selection, extent: Extent, version: number): Promise<void> {
    const { tenantId, filter } = selection
    const db = dbOf(tenantId)
    const types = filter.type === undefined ? await typesMatching(db, selection, extent) : [filter.type]
    const found = await findSchemaVersions(
      db,
      types.map((type) => ({ tenantId, type, version })),
    )
    const isLifted = (type: string) =>
      Object.keys(definitions.get(type)?.upcast ?? {}).some((last) => Number(last) >= version)
    const lacking = types.find((wanted) => !isLifted(wanted) && !found.some(({ type }) => type === wanted))
    if (lacking === undefined) return
    const message = `the schema of the type ${lacking} has no version ${version}`
    throw new RequestError('schema-not-found', message, [{ pointer: '/schema_version', message }])
  }

  async function find({ access, params: { id } }: FastifyRequest<Followed>) {
    const operation = isUuid(id) ? await findOperation(dbOf(access.tenantId), access.tenantId, id) : undefined
    if (!operation) throw new RequestError('operation-not-found', `There is no operation with the id ${id}`)
    return operation
  }
}
