/** The data folder, which belongs to one `up` at a time. */
import { createHmac, randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { SetupError } from '@eventflow/local'
import type { Database } from './databases.js'

/** The content of the file `up.json`, about the `up` that uses the folder. */
interface Holder {
  pid: number
  /** A port on 127.0.0.1 where it proves, while it lives, that it knows `token`. A pid alone may have been reused. */
  port: number
  token: string
  /** What it has started. */
  started?: Started
}

/** What an `up` has started. Databases from the environment are left out: other commands find them there, too. */
export interface Started {
  http?: string
  postgres?: Database | undefined
  standby?: Database | undefined
  redis?: Database | undefined
}

/** A data folder that this process has claimed. */
export interface ClaimedFolder {
  /** Makes the addresses known to other commands. */
  tell(started: Started): Promise<void>
  release(): Promise<void>
}

/** Claims the folder for this process, and creates it if necessary. Rejects if another `up` has it. */
export async function claimFolder(dir: string): Promise<ClaimedFolder> {
  const file = join(dir, 'up.json')
  // Servers started by root run as another account, which needs to pass through the folder to its data.
  await mkdir(dir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 }).catch((error) => {
    throw new SetupError(`cannot use the data folder ${dir} (${error.message}): choose another one with --data-dir`)
  })
  const token = randomBytes(32).toString('hex')
  const { server, port } = await answerWith(token)
  const holder: Holder = { pid: process.pid, port, token }
  try {
    await takePlace(file, dir, `${JSON.stringify(holder)}\n`)
  } catch (error) {
    server.close()
    throw error
  }
  return {
    tell: (started) => writeFile(file, `${JSON.stringify({ ...holder, started })}\n`),
    async release() {
      server.close()
      await rm(file, { force: true })
    },
  }
}

/** Resolves with what the running `up` on this folder has started; undefined if none runs. */
export async function findRunning(dir: string): Promise<Started | undefined> {
  const holder = await readHolder(join(dir, 'up.json'))
  return holder && (await isAlive(holder)) ? (holder.started ?? {}) : undefined
}

/** Writes the file; an existing one must be of an `up` that is gone. */
async function takePlace(file: string, dir: string, content: string): Promise<void> {
  // It will contain the passwords of the databases.
  const write = () => writeFile(file, content, { flag: 'wx', mode: 0o600 })
  await write().catch(async (error) => {
    if (error.code !== 'EEXIST') throw new SetupError(`cannot write to the data folder ${dir}: ${error.message}`)
    const holder = await readHolder(file)
    if (holder && (await isAlive(holder))) {
      throw new SetupError(
        `eventflow is already running on ${dir} (process ${holder.pid}).\n` +
          `Stop it with Ctrl-C in its terminal or \`kill ${holder.pid}\`, or choose another folder with --data-dir.`,
      )
    }
    await rm(file, { force: true })
    await write()
  })
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return undefined // written by halves, by one that was killed
  }
}

function answerWith(token: string): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.setTimeout(ANSWER_MS, () => socket.destroy()).on('error', () => {})
      socket.once('data', (challenge) => socket.end(proofOf(token, challenge)))
    })
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address && typeof address === 'object') resolve({ server, port: address.port })
    })
  })
}

const ANSWER_MS = 2_000

/** Another program may listen on the port of an `up` that has ended: it cannot read the token, which is never sent. */
const proofOf = (token: string, challenge: Buffer) => createHmac('sha256', token).update(challenge).digest('hex')

function isAlive({ port, token }: Holder): Promise<boolean> {
  return new Promise((resolve) => {
    let answer = ''
    const challenge = randomBytes(32)
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(challenge))
    socket.setEncoding('utf8').setTimeout(ANSWER_MS, () => socket.destroy())
    socket.on('data', (text) => {
      answer += text
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer === proofOf(token, challenge)))
  })
}
