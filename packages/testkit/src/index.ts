/** What tests need: real services, a whole pipeline, faults, and a judge of what happened. */
export * from './faults/index.js'
export * from './history/index.js'
export * from './pipeline.js'
export * from './random.js'
export * from './services.js'
export * from './until.js'
