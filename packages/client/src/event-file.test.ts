/** Events from files and pipes are sent as written, and an invalid row does not affect the others. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { type FileRow, readEventFile, readEventLines } from './event-file.js'

test('NDJSON or a JSON array, gzipped or not: the same events, with stable ids', async () => {
  const rows = [
    { type: 'a', data: { text: 'ü', brackets: '[{"\\"],' } },
    { type: 'b', data: {}, id: 'mine' },
    { type: 'a', data: { text: 'ü', brackets: '[{"\\"],' } },
  ]
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  const first = await events('events.ndjson', lines)
  expect(first.map(({ id: _, ...row }) => row)).toEqual(rows.map(({ id: _, ...row }) => row))
  expect(first[1]!.id).toBe('mine')
  expect(new Set(first.map(({ id }) => id)).size).toBe(3)
  // These ids must never change: events sent by an earlier release have to be recognized as duplicates.
  expect((await events('old.ndjson', '{"type":"a","data":{"text":"ü"}}'))[0]!.id).toBe(
    'fc102274-355b-5369-abf2-c7d481f49ce4',
  )
  expect(await events('other.ndjson', `\r\n${lines.trimEnd()}`)).toEqual(first)
  expect(await events('events.json', JSON.stringify(rows, null, 2))).toEqual(first)
  expect(await events('events.json.gz', gzipSync(JSON.stringify(rows)))).toEqual(first)
  expect(await events('marked.ndjson', `\ufeff${lines}`)).toEqual(first)
  expect(await events('marked.json', `\ufeff${JSON.stringify(rows)}`)).toEqual(first)
  expect(await events('none.json', ' [ ] ')).toEqual([])
})

test('the text of an event is sent unchanged, to the last digit', async () => {
  const texts = [
    '{"id":"1","type":"a","data":{"n":1e400,"m":9007199254740993,"n":1.10}}',
    '{"type":"a","\\u0069d":"2","data":{}}',
  ]
  expect((await read('exact.ndjson', texts.join('\n'))).map(jsonOf)).toEqual(texts)
  expect((await read('exact.json', `[${texts.join(',\n')}]`)).map(jsonOf)).toEqual(
    texts.map((text, n) => (n === 0 ? text : ` ${text}`)),
  )
  expect((await read('empty.ndjson', '{}')).map(jsonOf)).toEqual([expect.stringMatching(/^{"id":"\S{36}"}$/)])
})

test('a row that is not an event is reported, and its neighbours are read', async () => {
  const good = '{"type":"a","data":{}}'
  const latin1 = Buffer.from('{"type":"a","data":{"text":"\xfc"}}', 'latin1')
  const ndjson = Buffer.concat([Buffer.from(`${good}\n\n{,}\n${good}\n3\n`), latin1, Buffer.from(`\n${good}`)])
  expect((await read('a.ndjson', ndjson)).map(outcome)).toEqual([
    'event',
    expect.stringMatching(/^line 3 of \S*a\.ndjson is not JSON: /),
    'event',
    expect.stringMatching(/^line 5 of \S*a\.ndjson is not an event/),
    expect.stringMatching(/^line 6 of \S*a\.ndjson is not UTF-8$/),
    'event',
  ])
  const list = Buffer.concat([Buffer.from(`[${good}, 3, {"a":}, `), latin1, Buffer.from(`,${good},]`)])
  expect((await read('a.json', list)).map(outcome)).toEqual([
    'event',
    expect.stringMatching(/^row 2 of \S*a\.json is not an event/),
    expect.stringMatching(/^row 3 of \S*a\.json is not JSON/),
    expect.stringMatching(/^row 4 of \S*a\.json is not UTF-8$/),
    'event',
    expect.stringMatching(/^row 6 of \S*a\.json is not JSON/),
  ])
  await expect(read('cut.json', `[${good}`)).rejects.toThrow('its list has no end')
  await expect(read('two.json', `[${good}]${good}`)).rejects.toThrow('there is text after the end of its list')
  await expect(all(readEventFile('/nowhere.ndjson.gz'))).rejects.toThrow(/ENOENT/)
})

test('a line without an end is buffered only up to the limit', async () => {
  async function* endless() {
    for (let n = 0; n < 20; n++) yield Buffer.alloc(1024 * 1024, 'x')
    yield Buffer.from('\n{"type":"a","data":{}}')
  }
  expect((await all(readEventLines(endless(), 'a pipe'))).map(outcome)).toEqual([
    'line 1 of a pipe is longer than 16777216 bytes',
    'event',
  ])
})

const outcome = (row: FileRow) => ('error' in row ? row.error.message : 'event')

function jsonOf(row: FileRow): string {
  if ('error' in row) throw row.error
  return row.event.json
}

async function events(name: string, content: string | Buffer): Promise<Record<string, unknown>[]> {
  return (await read(name, content)).map((row) => JSON.parse(jsonOf(row)))
}

async function read(name: string, content: string | Buffer): Promise<FileRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'eventflow-file-'))
  try {
    await writeFile(join(folder, name), content)
    return await all(readEventFile(join(folder, name)))
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
