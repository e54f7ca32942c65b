/** The test kit: real services, a whole pipeline, faults, and a checker of the history. */
export * from './accepted.js'
export * from './analyze.js'
export * from './conformance/event-of.js'
export * from './conformance/feed.js'
export * from './drained.js'
export * from './earlier-database.js'
export * from './earlier-statements.js'
export * from './faults/index.js'
export * from './history/index.js'
export * from './hold-up.js'
export * from './load.js'
export * from './locks.js'
export * from './own-redis.js'
export type * from './pipeline.js'
export * from './post.js'
export * from './program-process.js'
export * from './random.js'
export * from './replicated-postgres.js'
export * from './services.js'
export * from './stateful.js'
export * from './turn.js'
export * from './until.js'

/** Starts a pipeline. Loaded when it is used: most of the time to load the kit would be for the programs. */
export const startPipeline: typeof import('./pipeline.js').startPipeline = async (...given) =>
  (await import('./pipeline.js')).startPipeline(...given)
