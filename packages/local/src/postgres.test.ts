/** Postgres starts, stops, is found again, and survives crashes and leftovers. */
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { startAndGetKilled } from './left-behind.fixture.js'
import { startPostgres } from './postgres.js'
import { findBinaries, makeLinks } from './postgres-binaries.js'
import { run } from './run.js'
import { findHome } from './server-home.js'

const dir = await mkdtemp(join(tmpdir(), 'eventflow-postgres-'))
const said: string[] = []
const log = (line: string) => said.push(line)

afterAll(() => rm(dir, { recursive: true, force: true }))

test('a second start finds the data of the first', async () => {
  const first = await startPostgres({ dir, port: 0, log })
  expect(await speaksPostgres(first.port)).toBe(true)
  await first.stop()
  expect(await first.exited).toBe('code 0')

  await sql('CREATE TABLE kept AS SELECT 42 AS answer')
  const second = await startPostgres({ dir, port: 0, log })
  await second.stop()
  expect(await sql('SELECT answer FROM kept')).toContain('answer = "42"')
})

test('it runs durably', async () => {
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    expect(await sql(`SHOW ${setting}`)).toContain(`${setting} = "on"`)
  }
})

test('a dropped database is created again', async () => {
  await sql('DROP DATABASE eventflow', 'postgres')
  await (await startPostgres({ dir, port: 0, log })).stop()
  expect(await sql('SELECT current_database() AS here')).toContain('here = "eventflow"')
})

test('one left running by a killed process is stopped, and its data is used', async () => {
  await startAndGetKilled(`startPostgres({ dir: '${dir}', port: 0, log: () => {} })`)
  said.length = 0
  const postgres = await startPostgres({ dir, port: 0, log })
  expect(said[0]).toMatch(/stopping a Postgres \(pid \d+\) left behind by an earlier run/)
  await postgres.stop()
})

test('after a SIGKILL it starts again', async () => {
  const killed = await startPostgres({ dir, port: 0, log })
  const pid = Number.parseInt(await readFile(join(dir, 'data', 'postmaster.pid'), 'utf8'), 10)
  process.kill(pid, 'SIGKILL')
  expect(await killed.exited).toBe('signal SIGKILL')
  const postgres = await startPostgres({ dir, port: 0, log })
  await postgres.stop()
})

test('a stale pid file that names another process does not prevent the start', async () => {
  const pidFile = `${process.pid}\n${join(dir, 'data')}\n1700000000\n15432\n\n127.0.0.1\n\nready   \n`
  await writeFile(join(dir, 'data', 'postmaster.pid'), pidFile, { mode: 0o644 })
  const postgres = await startPostgres({ dir, port: 0, log })
  await postgres.stop()
})

test('a taken port: another one if any will do, an error if it was demanded', async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.once('error', resolve).listen(15432, '127.0.0.1', resolve))
  said.length = 0
  const postgres = await startPostgres({ dir, log })
  expect(postgres.port).not.toBe(15432)
  expect(said).toContain(`port 15432 is in use: Postgres listens on ${postgres.port}`)
  await postgres.stop()
  await expect(startPostgres({ dir, port: 15432, log })).rejects.toThrow('Postgres: port 15432 is used')
  holder.close()
})

test('missing links between the libraries are made', async () => {
  const folder = await mkdtemp(join(dir, 'package-'))
  await run('mkdir', ['-p', join(folder, 'native', 'lib')])
  await writeFile(join(folder, 'native', 'lib', 'libpq.so.5.18'), 'a library')
  const links = ['libpq.so', 'libpq.so.5'].map((name) => ({
    source: 'native/lib/libpq.so.5.18',
    target: `native/lib/${name}`,
  }))
  await writeFile(join(folder, 'native', 'pg-symlinks.json'), JSON.stringify(links))
  await symlink('libpq.so.5.18', join(folder, 'native', 'lib', 'libpq.so')) // another process has already made this one
  await makeLinks(folder)
  for (const { target } of links) expect(await readFile(join(folder, target), 'utf8')).toBe('a library')
})

/** The answer of Postgres, and of no other server, to a request for TLS: one letter. */
function speaksPostgres(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])))
    socket.on('error', reject)
    socket.once('data', (answer) => {
      resolve(answer.toString() === 'N')
      socket.destroy()
    })
  })
}

/** Runs a statement on the stopped Postgres: only packages/db has a client. */
async function sql(statement: string, database = 'eventflow'): Promise<string> {
  const home = await findHome('Postgres', dir, log)
  const args = ['--single', '-D', join(dir, 'data'), database]
  const options = { ...home.account, cwd: dir, env: { LC_ALL: 'C' }, input: statement }
  return (await run(join(await findBinaries(home), 'postgres'), args, options)).output
}
