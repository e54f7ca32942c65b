export * from './pipeline.js'
export * from './services.js'
export * from './until.js'
