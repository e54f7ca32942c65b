/** Runs docs/tutorial.md from its first line to its last as a reader would: the same commands, the same answers. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { freePort } from '@eventflow/local'
import { createDatabase, redisUrl, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../..')

/** The parts of a clone that the commands need: a folder with these replaces a clone, and leaves ours unchanged. */
const CLONE = ['package.json', 'node_modules', 'packages', 'apps']

/** Replaces npx for short commands: it takes longer to start than they run. */
const NPX = 'npx() { "node_modules/.bin/$@"; }'

/** A read-only command, which may be repeated: its subject may still be in progress. */
const LOOKS = /^npx eventflow (sql ["']SELECT|events get|dlq (ls|show)|windows results)/

interface Block {
  language: string
  content: string
}

/**
 * The fenced blocks of the document: `sh` is run, `ts` is written to a file, and a block without a language is the
 * expected answer.
 */
const blocks = [...readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8').matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
  ([, language, content]): Block => ({ language: language!, content: content! }),
)

let folder: string
let env: NodeJS.ProcessEnv
let running: ChildProcess | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-tutorial-'))
  for (const name of CLONE) await symlink(join(ROOT, name), join(folder, name))
  env = {
    ...{ PATH: process.env.PATH, HOME: process.env.HOME },
    ...{ DATABASE_URL: await createDatabase({ migrated: false }), REDIS_URL: redisUrl() },
    ...{ EVENTFLOW_STREAM_PREFIX: 'tutorial', EVENTFLOW_PORT: `${await freePort(0)}` },
    ...{ EVENTFLOW_METRICS_PORT: `${await freePort(0)}` },
  }
})

afterAll(async () => {
  await interrupt()
  await rm(folder, { recursive: true, force: true })
})

test('begins with what the tests have done already, and shows the answers of most commands', () => {
  expect(blocks[0]).toEqual({ language: 'sh', content: 'npm ci && npm run build\n' })
  expect(blocks.filter(({ language }) => language === '').length).toBeGreaterThan(8)
})

test('works, command by command', async () => {
  for (const [index, { language, content }] of blocks.entries()) {
    if (language === 'ts') await write(content)
    else if (/^npx eventflow up/.test(content)) await start(content)
    else if (language === 'sh' && index > 0) await tryOut(content, blocks[index + 1]!)
  }
}, 180_000)

/** Writes a file to the path in its first line. */
async function write(content: string): Promise<void> {
  const path = join(folder, /^\/\/ (\S+)\n/.exec(content)![1]!)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
}

/** Runs the command in the first terminal, after the previous one. */
async function start(command: string): Promise<void> {
  await interrupt()
  const child = spawn('bash', ['-c', command], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  running = child
  let said = ''
  for (const output of [child.stdout, child.stderr]) output.setEncoding('utf8').on('data', (more) => (said += more))
  await until('it is up, or has ended', () => said.includes('EventFlow is up.') || hasEnded(child), 90_000)
  expect(said).toContain('EventFlow is up.')
}

/** Ctrl-C, which the terminal sends to all its processes. */
async function interrupt(): Promise<void> {
  if (!running || hasEnded(running)) return
  const closed = once(running, 'close')
  process.kill(-running.pid!, 'SIGINT')
  await closed
  running = undefined
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null

/** Runs commands in the second terminal; they must answer as the document shows, if it does. */
async function tryOut(commands: string, { language, content }: Block): Promise<void> {
  const shown = language === '' ? patternOf(content) : /^/
  const asShown = async () => {
    const child = spawn('bash', ['-c', `${NPX}\n${commands}`], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = await Promise.all([text(child.stdout), once(child, 'close')])
    expect(plain(said)).toMatch(shown)
    return true
  }
  if (
    commands
      .trim()
      .split('\n')
      .every((command) => LOOKS.test(command))
  )
    await until(`${commands} is as shown`, asShown)
  else await asShown()
}

/** A pattern of the shown text, in which a line with only … stands for any lines. */
function patternOf(content: string): RegExp {
  const parts = plain(content).split('…')
  return new RegExp(`^${parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('[^]*')}$`)
}

/** The text without what differs between runs. */
function plain(content: string): string {
  return content
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/worker-\d/g, 'worker-<n>')
    .trim()
}
