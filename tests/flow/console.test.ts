/** The console's files over HTTP: what a browser gets, and may do with it. */
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([defineEvent({ type: 'step.done', schema: Type.Object({}) })])
})

afterAll(() => pipeline.stop())

const get = (path: string) => fetch(`${pipeline.url}${path}`)

test('the page loads only its own files, and is revalidated each time', async () => {
  const page = await get('/')
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  const policy = page.headers.get('content-security-policy')!
  expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
  expect(policy).not.toContain('unsafe')
  expect(page.headers.get('cache-control')).toBe('no-cache')
  const html = await page.text()
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|\bstyle=|\bon\w+=/)

  const files = [...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, file]) => file!)
  expect(files.map((file) => /\.\w+$/.exec(file)![0]).sort()).toEqual(['.css', '.js', '.svg'])
  for (const file of files) {
    const answer = await get(`/${file}`)
    expect([file, answer.status, answer.headers.get('x-content-type-options')]).toEqual([file, 200, 'nosniff'])
    expect(answer.headers.get('cache-control')).toContain('immutable')
  }
})

test('it is small', async () => {
  const html = await (await get('/')).text()
  const [, script] = /src="\.\/([^"]+\.js)"/.exec(html)!
  const bytes = await new Response(
    (await get(`/${script}`)).body!.pipeThrough(new CompressionStream('gzip')),
  ).arrayBuffer()
  expect(bytes.byteLength).toBeGreaterThan(10_000)
  expect(bytes.byteLength).toBeLessThan(150_000)
})

test.each(['/assets/none.js', '/../package.json', '/%2e%2e/package.json', '/assets/..%2f..%2fmain.js'])(
  'other paths are not served: %s',
  async (path) => {
    const answer = await get(path)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
  },
)
