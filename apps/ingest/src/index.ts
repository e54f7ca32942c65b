/** The ingest service without its process, for tests; `main.ts` starts it. */
export { buildApp } from './app.js'
export { serveHealth } from './health-port.js'
export { listen } from './listen.js'
