/** Routes of started operations: list, follow, resume, cancel. */
import { isUuid } from '@eventflow/core'
import { cancelOperation, type DbOf, findOperation, listOperations, resumeOperation } from '@eventflow/db'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describeOperation } from '../answers/describe-dead-letter.js'
import { RequestError } from '../http/problem.js'
import { operatorOf, strictly } from '../http/request.js'
import type { Operations } from '../operations/operations.js'
import { following, Operation } from './operation-schemas.js'

const LISTED = 50

type Followed = { Params: { id: string } }

export interface OperationDeps {
  dbOf: DbOf
  operations: Operations
}

/** Declares the routes of started operations. */
export function operationRoutes(app: FastifyInstance, { dbOf, operations }: OperationDeps): void {
  app.get(
    '/v1/operations',
    {
      schema: {
        summary: 'List the latest operations',
        description: `The newest first, at most ${LISTED}.`,
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
        'Get the progress of an operation',
        'If its process died, an operation becomes `interrupted` after half a minute. No event is half done, and the operation can be resumed.',
      ),
      validatorCompiler: strictly,
      config: { problems: ['operation-not-found'] },
    },
    async (request) => describeOperation(await find(request)),
  )

  app.post<Followed>(
    '/v1/operations/:id/resume',
    {
      schema: following('Resume an operation', 'Continues an interrupted operation from where it stopped.'),
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
      schema: following('Cancel an operation', 'Ends an operation for good. Its completed changes remain.'),
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

  async function find({ access, params: { id } }: FastifyRequest<Followed>) {
    const operation = isUuid(id) ? await findOperation(dbOf(access.tenantId), access.tenantId, id) : undefined
    if (!operation) throw new RequestError('operation-not-found', `There is no operation with the id ${id}`)
    return operation
  }
}
