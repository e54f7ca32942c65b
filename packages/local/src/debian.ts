/** Programs from the archive of Debian or Ubuntu, without root: downloaded by apt, unpacked into a folder, run from there. */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.js'

/** A package of the archive, and which of its programs are wanted. */
export interface DebianPackage {
  name: string
  /** The commands, each with the program in the package's usr/bin that it is. */
  commands: Readonly<Record<string, string>>
}

/**
 * Fetches a package into `folder`, whose `bin` then has its commands, which find their own libraries. The folder
 * appears complete or not at all, even if several processes fetch it. Returns the error, if any.
 */
export async function fetchFromDebian({ name, commands }: DebianPackage, folder: string): Promise<string | undefined> {
  const work = `${folder}.${randomUUID()}`
  try {
    const root = join(work, 'root')
    await mkdir(root, { recursive: true })
    for (const file of await download(name, join(work, 'apt'))) await must('dpkg-deb', ['-x', file, root])
    await rm(join(work, 'apt'), { recursive: true })
    await rm(join(root, 'usr', 'share'), { recursive: true, force: true }) // pages to read: most of what was unpacked
    await addCommands(commands, work, root)
    for (const command of Object.keys(commands)) await must(join(work, 'bin', command), ['--version'])
    await replace(folder, work, Object.keys(commands))
    return undefined
  } catch (error) {
    return (error as Error).message
  } finally {
    await rm(work, { recursive: true, force: true }).catch(() => {})
  }
}

/** Downloads a package and its missing dependencies. Apt keeps its state in `dir`. */
async function download(name: string, dir: string): Promise<string[]> {
  const [lists, cache] = [join(dir, 'lists'), join(dir, 'cache')]
  const archives = join(cache, 'archives')
  await mkdir(join(lists, 'partial'), { recursive: true })
  await mkdir(join(archives, 'partial'), { recursive: true })
  const options = [
    `Dir::State::Lists=${lists}`,
    `Dir::Cache=${cache}`,
    'Debug::NoLocking=1', // the locks are root's, and guard what we do not touch
    'APT::Sandbox::User=root', // stay who we are: root's apt would drop to an account that cannot write here
    'Acquire::Languages=none',
    'Acquire::http::Timeout=20',
  ].flatMap((option) => ['-o', option])
  const update = await run('apt-get', ['-qq', ...options, 'update'])
  const install = ['--download-only', '--reinstall', '--no-install-recommends', 'install', name]
  const installed = await run('apt-get', ['-qq', '-y', ...options, ...install])
  // An update that fails for some other archive does no harm: the download decides.
  if (!installed.ok) throw new Error([update.output, installed.output].filter(Boolean).join('\n'))
  return (await readdir(archives)).filter((file) => file.endsWith('.deb')).map((file) => join(archives, file))
}

/** A command that is called otherwise in the package gets its name there too: a program may act by how it is called. */
async function addCommands(commands: DebianPackage['commands'], work: string, root: string): Promise<void> {
  const places = await Promise.all([join('usr', 'lib'), 'lib'].map((place) => librariesIn(root, place)))
  const path = places
    .flat()
    .map((place) => `$root/${place}`)
    .join(':')
  await mkdir(join(work, 'bin'))
  for (const [name, program] of Object.entries(commands)) {
    if (name !== program) await symlink(program, join(root, 'usr', 'bin', name))
    const script = [
      '#!/bin/sh',
      'root=$(cd "$(dirname "$0")/../root" && pwd)',
      `LD_LIBRARY_PATH="${path}" exec "$root/usr/bin/${name}" "$@"`,
    ]
    await writeFile(join(work, 'bin', name), `${script.join('\n')}\n`, { mode: 0o755 })
  }
}

/** Folders such as usr/lib/x86_64-linux-gnu, and usr/lib itself. */
async function librariesIn(root: string, place: string): Promise<string[]> {
  const names = await readdir(join(root, place)).catch(() => [])
  return [...names.filter((name) => name.includes('-linux-')).map((name) => join(place, name)), place]
}

/** Moves the finished folder into place, over an unusable old one. Does nothing if another process was first. */
async function replace(folder: string, work: string, commands: readonly string[]): Promise<void> {
  try {
    await rename(work, folder)
  } catch {
    const present = await Promise.all(commands.map((command) => run(join(folder, 'bin', command), ['--version'])))
    if (present.every(({ ok }) => ok)) return
    await rm(folder, { recursive: true, force: true })
    await rename(work, folder)
  }
}

async function must(command: string, args: string[]): Promise<void> {
  const { ok, output } = await run(command, args)
  if (!ok) throw new Error(`${command} failed: ${output}`)
}
