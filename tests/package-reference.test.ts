/** docs/reference against the types of the public packages. EVENTFLOW_WRITE_DOCS=1 writes it. */
import { execFile } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

const TESTS = join(import.meta.dirname, '..')
const REFERENCE = join(TESTS, '../docs/reference')

/** TypeDoc reads the declarations with the last TypeScript that has an API: 7 has none yet. */
const TYPEDOC = join(dirname(createRequire(import.meta.url).resolve('typedoc/package.json')), 'bin/typedoc')

const pagesIn = (folder: string) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))

test('the API reference of the packages is what their types say', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'eventflow-reference-'))
  try {
    const args = [TYPEDOC, '--options', 'typedoc.json', '--treatWarningsAsErrors', '--out', folder]
    await promisify(execFile)(process.execPath, args, { cwd: TESTS })
    if (process.env.EVENTFLOW_WRITE_DOCS) {
      rmSync(REFERENCE, { recursive: true, force: true })
      cpSync(folder, REFERENCE, { recursive: true })
    }
    expect(pagesIn(REFERENCE)).toEqual(pagesIn(folder))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 120_000)
