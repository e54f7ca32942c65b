/** What every process needs: settings, logs, metrics, traces, starting and stopping. */
export * from './config.js'
export * from './log.js'
export * from './metrics.js'
export * from './serve-metrics.js'
export * from './start.js'
export * from './stop.js'
export * from './traceparent.js'
export * from './tracing.js'
