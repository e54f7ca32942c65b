/** Interactive documentation, generated from the routes' schemas. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { documentProblems } from './document-problems.js'

/**
 * Serves /docs and /openapi.json. Call it before the routes are declared and after `lock`, which determines the open
 * routes.
 */
export async function documentRoutes(app: FastifyInstance): Promise<void> {
  const withProblems = documentProblems(app)
  await app.register(swagger, {
    transformObject: (made) => withProblems('openapiObject' in made ? made.openapiObject : made.swaggerObject),
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'EventFlow',
        version: '1',
        description: 'Accepts events and settles each exactly once. Every example works as shown.',
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }, {}],
      tags: [
        { name: 'events', description: 'Send and follow events' },
        { name: 'log', description: 'Read processed events in order, and remember up to where' },
        { name: 'dead letters', description: 'List, replay and discard failed events' },
        { name: 'operations', description: 'Running and recent replays and discards' },
        { name: 'groups', description: 'Consumer groups: their lag, and how to pause, resume and reset them' },
        { name: 'windows', description: 'Windows: their results, the open ones, and late events' },
        { name: 'joins', description: 'Joins: the events that wait in them, and late events' },
        { name: 'schemas', description: 'Schemas of event types, and their versions' },
        { name: 'keys', description: 'API keys of the tenant' },
        { name: 'operation', description: 'Health and metrics' },
      ],
    },
  })
  await app.register(swaggerUi, { routePrefix: '/docs', uiConfig: { tryItOutEnabled: true } })
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
}
