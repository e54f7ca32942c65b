/** Shared parts of successful answers: serialization, times, locations. */
import { Type } from '@sinclair/typebox'
import type { FastifySerializerCompiler } from 'fastify'

/** For answers whose schema is only documentation: fields that it does not describe are kept. */
export const asItIs: FastifySerializerCompiler<unknown> = () => JSON.stringify

/** For the schema of an answer: RFC 3339. */
export const Moment = Type.String({ format: 'date-time' })

/** For the schema of an answer with the URL of the created resource in its headers. */
export const LOCATED = {
  headers: { location: Type.String({ description: 'The address of the created resource' }) },
}
