/** Which problem answers an error. */
import { NotExaminedError } from '@eventflow/schemas'
import { expect, test } from '@jest/globals'
import fastify from 'fastify'
import { answerProblems } from './problem.js'

test('a schema that could not be examined is answered 503: it can be sent again', async () => {
  const app = fastify()
  answerProblems(app, () => {})
  app.get('/', () => {
    throw new NotExaminedError('The thread did not start')
  })
  const answer = await fetch(await app.listen({ host: '127.0.0.1', port: 0 }))
  expect(answer.status).toBe(503)
  expect(answer.headers.get('retry-after')).toBe('1')
  expect(await answer.json()).toMatchObject({ code: 'unavailable', detail: 'The thread did not start' })
  await app.close()
})
