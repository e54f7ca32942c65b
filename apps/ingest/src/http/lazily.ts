/** Compiles the schemas of routes when they are needed: a service starts in half the time, and most routes are rarely called. */
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'

/** Returns a function that `create` creates at the first call. */
export function lazily<Given extends unknown[], Result>(
  create: () => (...given: Given) => Result,
): (...given: Given) => Result {
  let created: ((...given: Given) => Result) | undefined
  return (...given) => {
    created ??= create()
    return created(...given)
  }
}

type CompilersFactory = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>

/** Builds the serializers of answers as Fastify does, but each for its first answer. */
export const buildSerializer: NonNullable<CompilersFactory['buildSerializer']> = (schemas, options) => {
  const compile = SerializerSelector()(schemas, options)
  return (route) => lazily(() => compile(route))
}
