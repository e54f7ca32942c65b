/** What `init` writes, and where it refuses to. The whole project runs in tests/packages/from-tarballs.test.ts. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { init } from './init.js'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-init-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

const make = (name: string, from?: string) => init({ folder: join(folder, name), from, print: () => {} })
const ours = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8'))

test('writes a project with the version of this release, and says what is next', async () => {
  const said: string[] = []
  await init({ folder: join(folder, 'my-app'), from: undefined, print: (text) => said.push(text) })
  expect(said.join()).toMatch(/^my-app is ready.*npm install.*npm test.*npm start/s)
  const files = await readdir(join(folder, 'my-app'), { recursive: true })
  expect(files.sort()).toEqual([
    ...['.env', '.env.example', '.gitignore', 'README.md', 'compose.yaml', 'package.json', 'postgres-roles.sql', 'src'],
    ...['src/events', 'src/events/order-placed.test.ts', 'src/events/order-placed.ts', 'tsconfig.json'],
  ])
  const read = (file: string) => readFile(join(folder, 'my-app', file), 'utf8')
  const json = JSON.parse(await read('package.json'))
  expect(json).toMatchObject({ name: 'my-app', private: true, type: 'module' })
  expect(json.dependencies).toEqual({ '@eventflow/sdk': ours.version, eventflow: ours.version })
  expect(json.devDependencies['@eventflow/testing']).toBe(ours.version)
  expect(json).not.toHaveProperty('overrides')
  for (const file of ['README.md', 'compose.yaml']) expect(await read(file)).not.toContain('__NAME__')
  expect(parse(await read('compose.yaml')).name).toBe('my-app')
})

test('passwords are random, the same in the addresses, and for this user only', async () => {
  await make('first')
  await make('second')
  const env = await readFile(join(folder, 'first/.env'), 'utf8')
  const values = Object.fromEntries([...env.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value!]))
  expect(values.POSTGRES_PASSWORD).toMatch(/^[0-9a-f]{64}$/)
  expect(new Set(Object.values(values)).size).toBe(6)
  expect(new URL(values.DATABASE_URL!).password).toBe(values.POSTGRES_PASSWORD)
  expect(new URL(values.REDIS_URL!).password).toBe(values.REDIS_PASSWORD)
  expect(await readFile(join(folder, 'second/.env'), 'utf8')).not.toContain(values.POSTGRES_PASSWORD)
  expect((await stat(join(folder, 'first/.env'))).mode & 0o777).toBe(0o600)
  expect(await readFile(join(folder, 'first/.gitignore'), 'utf8')).toMatch(/^\.env$/m)
})

test('an empty folder is taken, one with something in it is not', async () => {
  await mkdir(join(folder, 'empty'))
  await make('empty')
  await mkdir(join(folder, 'taken'))
  await writeFile(join(folder, 'taken/notes.txt'), 'mine')
  await expect(make('taken')).rejects.toThrow(/taken is not empty \(it has notes\.txt\)/)
  expect(await readdir(join(folder, 'taken'))).toEqual(['notes.txt'])
  await writeFile(join(folder, 'file'), '')
  await expect(make('file')).rejects.toThrow('cannot make a project in')
})

test.each(['My-App', 'my app', '.hidden', '-option', 'café', 'a'.repeat(215)])('%s is not a name', async (name) => {
  await expect(make(name)).rejects.toThrow(`'${name}' is not a name for a project`)
})

test.each(['eventflow', 'node_modules', 'typescript'])('%s is the name of something else', async (name) => {
  await expect(make(name)).rejects.toThrow(`a project cannot be called '${name}'`)
})

test('tarballs are taken in the version of this release, and the project is not made without them', async () => {
  const tarballs = join(folder, 'tarballs')
  await mkdir(tarballs)
  const put = (name: string) => writeFile(join(tarballs, name), '')
  await Promise.all(['eventflow-0.0.1.tgz', `eventflow-sdk-${ours.version}.tgz`, `other-${ours.version}.tgz`].map(put))
  await expect(make('from', tarballs)).rejects.toThrow(
    `has no tarball of eventflow, @eventflow/testing in version ${ours.version}`,
  )
  await expect(make('from', join(folder, 'nowhere'))).rejects.toThrow('cannot read the folder of tarballs')
  expect(await readdir(folder)).not.toContain('from')
  await Promise.all(
    ['eventflow', 'eventflow-testing', 'eventflow-db'].map((name) => put(`${name}-${ours.version}.tgz`)),
  )
  await make('from', tarballs)
  const json = JSON.parse(await readFile(join(folder, 'from/package.json'), 'utf8'))
  const file = (name: string) => `file:${join(tarballs, `${name}-${ours.version}.tgz`)}`
  expect(json.dependencies).toEqual({ '@eventflow/sdk': file('eventflow-sdk'), eventflow: file('eventflow') })
  expect(json.devDependencies).toMatchObject({ '@eventflow/testing': file('eventflow-testing') })
  expect(json.overrides).toEqual({ '@eventflow/db': file('eventflow-db') })
})
