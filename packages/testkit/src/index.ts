/** What tests need: real services, a whole pipeline, and waiting for a state. */
export * from './pipeline.js'
export * from './services.js'
export * from './until.js'
