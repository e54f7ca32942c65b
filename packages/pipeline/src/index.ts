export * from './define-event.js'
