/** Selects the files of a folder that are loaded as definitions, and explains why others are not. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** The extensions that Node and tsx read as ES modules. Both treat a name in capitals as another file type. */
const LOADED = /\.m?[jt]s$/
/** Files that look like definitions but may not be loadable. */
const LIKE_ONE = /\.[cm]?[jt]sx?$/i
/**
 * Ignored silently: names that begin with `.` (macOS, Emacs and vi keep such files beside edited ones) or `_`, copies
 * of editors (`a.ts~`, `#a.ts#`), tests, declarations and packages.
 */
const PASSED_OVER = /^[._#]|^node_modules$|~$|\.(test|spec)\.|\.d\.[cm]?ts$/i

/** Maximum depth of the search in subfolders, and maximum files named. */
const MAX_DEPTH = 5
const MAX_NAMED = 5

export interface DefinitionFiles {
  /** Sorted by name; absolute if the folder is. */
  files: string[]
  /** Files of subfolders that look like definitions and are not loaded. */
  inSubfolders: string[]
}

/**
 * The definition files of a folder. Throws when the folder cannot be read, or when a file in it is named like a
 * definition and cannot be one: if it were ignored silently, all its events would become dead letters.
 */
export async function findDefinitionFiles(folder: string): Promise<DefinitionFiles> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`cannot read the folder of event definitions ${folder}: ${cause.message}`, { cause })
  })
  const files: string[] = []
  const inSubfolders: string[] = []
  for (const name of names.filter((name) => !PASSED_OVER.test(name)).sort()) {
    const path = join(folder, name)
    const kind = await kindOf(path)
    if (kind === 'folder') inSubfolders.push(...(await definitionsBelow(path, 1)))
    else if (LIKE_ONE.test(name)) {
      const why = kind === 'file' ? whyNotLoaded(name) : kind
      if (why) throw new Error(`cannot load ${path}: ${why}; start the names of other files with _`)
      files.push(path)
    }
  }
  return { files, inSubfolders }
}

/** A text for the log; `undefined` if no file of a subfolder looks like a definition. */
export function describeSubfolders(inSubfolders: readonly string[]): string | undefined {
  if (inSubfolders.length === 0) return undefined
  const more = inSubfolders.length - MAX_NAMED
  const named = inSubfolders.slice(0, MAX_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '')
  return `not loaded: ${named}; definitions are not read from subfolders`
}

function whyNotLoaded(name: string): string | undefined {
  if (LOADED.test(name)) return undefined
  const lower = name.toLowerCase()
  if (LOADED.test(lower))
    return `its ending has capital letters; rename it to ${name.slice(0, name.lastIndexOf('.'))}${ending(lower)}`
  if (/\.c[jt]s$/.test(lower))
    return `a CommonJS module cannot be a definition; make it an ES module with the ending .mjs or .mts`
  return 'definitions end in .ts, .mts, .js or .mjs'
}

const ending = (name: string) => name.slice(name.lastIndexOf('.'))

/**
 * The kind of file at a path, or what is wrong with it. Only regular files can be imported: importing a named pipe
 * would hang.
 */
async function kindOf(path: string): Promise<'file' | 'folder' | string> {
  try {
    const found = await stat(path)
    if (found.isDirectory()) return 'folder'
    return found.isFile() ? 'file' : 'it is not a file'
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? 'it is a link to a file that does not exist' : message
  }
}

/** Files in subfolders that define something; others are the user's own modules. Unreadable files are skipped. */
async function definitionsBelow(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const found: string[] = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (PASSED_OVER.test(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory() && depth < MAX_DEPTH) found.push(...(await definitionsBelow(path, depth + 1)))
    else if (entry.isFile() && LIKE_ONE.test(entry.name)) {
      const text = await readFile(path, 'utf8').catch(() => '')
      if (/\bdefine(Event|Consumer)\b/.test(text)) found.push(path)
    }
  }
  return found
}
