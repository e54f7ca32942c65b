/** What answers have in common besides problems: how they become text, moments, and where to go on. */
import { Type } from '@sinclair/typebox'
import type { FastifySerializerCompiler } from 'fastify'

/** For answers whose schema is their documentation: nothing is left out of them because it is not described. */
export const asItIs: FastifySerializerCompiler<unknown> = () => JSON.stringify

/** For the schema of an answer: RFC 3339. */
export const Moment = Type.String({ format: 'date-time' })

/** For the schema of an answer that has the address of what was made in its headers. */
export const LOCATED = {
  headers: { location: Type.String({ description: 'The address of the created resource' }) },
}
