/** Starts operations on many events; counts the matching events first. */
import {
  countMatching,
  createOperation,
  type Db,
  type DbOf,
  type Extent,
  findSchemaVersions,
  type OperationKind,
  type Reads,
  readSamples,
  type Selection,
  typesMatching,
} from '@eventflow/db'
import type { EventDefinition } from '@eventflow/sdk'
import type { Static } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { describeOperation, describeSample } from '../answers/describe-dead-letter.js'
import { readFilter } from '../answers/filter.js'
import { RequestError } from '../http/problem.js'
import { operatorOf, strictly } from '../http/request.js'
import type { Operations } from '../operations/operations.js'
import { requireReason } from './dead-letter-parts.js'
import { asking, DEFAULT_RATES, DiscardBody, ReplayDeadLettersBody, ReplayProcessedBody } from './operation-schemas.js'

type Asked = { Body: Static<typeof ReplayDeadLettersBody> | Static<typeof ReplayProcessedBody> }

export interface StartOperationDeps {
  dbOf: DbOf
  reads: Reads
  operations: Operations
  definitions: ReadonlyMap<string, EventDefinition>
}

/** Declares the routes that start an operation. */
export function startOperationRoutes(app: FastifyInstance, deps: StartOperationDeps): void {
  app.post<Asked>(
    '/v1/dead-letters/replay',
    {
      schema: asking({
        summary: 'Replay dead letters',
        description:
          'Processes open dead letters again, in the order of acceptance. A dead letter that succeeds becomes `replayed`; one that fails is `open` again, with a longer history.',
        tag: 'dead letters',
        body: ReplayDeadLettersBody,
      }),
      validatorCompiler: strictly,
      config: { problems: ['schema-not-found', 'limit-reached'] },
    },
    (request, reply) => start(deps, 'replay-dead-letters', request, reply),
  )

  app.post<Asked>(
    '/v1/dead-letters/discard',
    {
      schema: asking({
        summary: 'Discard dead letters',
        description: 'Marks open dead letters as never to be processed, with a reason. They are kept unchanged.',
        tag: 'dead letters',
        body: DiscardBody,
      }),
      validatorCompiler: strictly,
      config: { problems: ['limit-reached'] },
    },
    (request, reply) => {
      requireReason(request.body, 'processed')
      return start(deps, 'discard-dead-letters', request, reply)
    },
  )

  app.post<Asked>(
    '/v1/events/replay',
    {
      schema: asking({
        summary: 'Replay processed events',
        description:
          'Processes events again that were already processed. **Their effects happen again**, once; their earlier results are replaced.',
        tag: 'events',
        body: ReplayProcessedBody,
      }),
      validatorCompiler: strictly,
      config: { problems: ['schema-not-found', 'limit-reached'] },
    },
    (request, reply) => start(deps, 'replay-processed', request, reply),
  )
}

/** Counts first. With `dry_run` that is all; otherwise it starts an operation, whose progress can be followed. */
async function start(
  { dbOf, reads, operations, definitions }: StartOperationDeps,
  kind: OperationKind,
  request: FastifyRequest<Asked>,
  reply: FastifyReply,
) {
  const { filter, dry_run, rate = DEFAULT_RATES[kind], schema_version, reason = null } = request.body
  const { tenantId } = request.access
  const selection = { kind, tenantId, filter: readFilter(filter, '/filter') }
  const examine = async (db: Db) => {
    const extent = await countMatching(db, selection)
    if (schema_version !== undefined) {
      await requireVersion(db, definitions, { selection, extent, version: schema_version })
    }
    return extent
  }
  if (dry_run) {
    return reads.of(tenantId)(async (db) => {
      const extent = await examine(db)
      return { count: extent.count, samples: (await readSamples(db, selection, extent)).map(describeSample) }
    })
  }
  const db = dbOf(tenantId)
  const extent = await examine(db)
  const schemaVersion = schema_version ?? null
  const asked = { ...selection, rate, schemaVersion, reason, requestedBy: operatorOf(request) }
  const operation = await createOperation(db, asked, extent)
  operations.start(operation)
  reply.code(202).header('location', `/v1/operations/${operation.id}`)
  return describeOperation(operation)
}

/** Throws RequestError if one of the matching types has neither such a version nor an upcaster from it. */
async function requireVersion(
  db: Db,
  definitions: ReadonlyMap<string, EventDefinition>,
  { selection, extent, version }: { selection: Selection; extent: Extent; version: number },
): Promise<void> {
  const { tenantId, filter } = selection
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
