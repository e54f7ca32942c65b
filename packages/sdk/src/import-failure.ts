/** Explains why a definition could not be imported, with file and line. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { ImportError } from './import-file.js'

/** A place in a file, with the text of the line if it is known. */
interface Place {
  file: string
  line: number
  column: number
  text?: string
}

/** How long another process may take to locate a syntax error, in milliseconds. */
const LOOK_MS = 10_000
const NOT_INSTALLED = ': install it in the folder of definitions or above it: npm install @eventflow/sdk'
const MAX_MESSAGE = 4_000

/**
 * The failure as a line like `/x/a.ts:3:7: Unexpected token '='`, followed by details. Never throws, also for a value
 * that is not an error.
 */
export async function describeFailure(file: string, thrown: unknown): Promise<string> {
  const failure = read(thrown)
  if (thrown instanceof ImportError) return describe(file, failure.message, undefined)
  const transform = TRANSFORM.exec(failure.message)
  if (transform) {
    const [, source, line, column, message] = transform
    return describe(file, message!, await withText({ file: source!, line: Number(line), column: Number(column) + 1 }))
  }
  if (failure.message.startsWith("Cannot find package '@eventflow/sdk'")) failure.message += NOT_INSTALLED
  const place = placeIn(failure.stack) ?? (failure.name === 'SyntaxError' ? await placeOfSyntaxError(file) : undefined)
  return describe(file, failure.message, place)
}

/** The message of esbuild, which compiles TypeScript for tsx; its columns begin with 0. */
const TRANSFORM = /^Transform failed with \d+ errors?:\n(.+):(\d+):(\d+): ERROR: (.*)/

function describe(file: string, message: string, place: Place | undefined): string {
  if (!place) return `${file}: ${message}`
  const at = `${place.file}:${place.line}:${place.column}`
  const where = place.file === file ? at : `${file}: in ${at}`
  const shown = place.text === undefined ? '' : `\n  ${place.text}\n  ${' '.repeat(place.column - 1)}^`
  return `${where}: ${message}${shown}`
}

/**
 * An error may come from another thread or another realm, so `instanceof` proves nothing; the value may also be no
 * error, or throw when it is read.
 */
function read(thrown: unknown): { name: string; message: string; stack: string } {
  try {
    const { name, message, stack } = (thrown ?? {}) as Record<string, unknown>
    const isError = typeof thrown === 'object' && typeof message === 'string'
    const text = isError ? message : `it threw ${inspect(thrown)}`
    const cut = text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text
    return { name: String(name), message: cut, stack: isError ? String(stack) : '' }
  } catch {
    return { name: '', message: 'it threw a value that cannot be shown', stack: '' }
  }
}

async function withText(place: Place): Promise<Place> {
  const source = await readFile(place.file, 'utf8').catch(() => '')
  const text = source.split('\n')[place.line - 1]
  return text === undefined ? place : { ...place, text }
}

const OURS = dirname(fileURLToPath(import.meta.url))

/** Node puts the line above the stack if it knows it; otherwise the first frame in a user's file counts. */
function placeIn(stack: string): Place | undefined {
  const above = /^(\S.*):(\d+)\n(.*)\n( *)\^/m.exec(stack)
  if (above) {
    const [, file, line, text, before] = above
    return { file: pathOf(file!), line: Number(line), column: before!.length + 1, text: text! }
  }
  for (const [, location, line, column] of stack.matchAll(/^ +at (?:.*\()?(\S.*?):(\d+):(\d+)\)?$/gm)) {
    const file = pathOf(location!.replace(/^async /, ''))
    if (/^node:|node_modules|^evalmachine|^</.test(file) || file.startsWith(OURS)) continue
    return { file, line: Number(line), column: Number(column) }
  }
  return undefined
}

const pathOf = (location: string) => {
  try {
    return location.startsWith('file:') ? fileURLToPath(location.replace(/\?.*$/, '')) : location
  } catch {
    return location
  }
}

/**
 * V8 reveals the place of a syntax error only when it ends the process, so another process imports the file. No code of
 * the file runs there, because a module runs only after all its imports have been parsed.
 */
async function placeOfSyntaxError(file: string): Promise<Place | undefined> {
  const typescript = /ts$/.test(file) ? ['--import', import.meta.resolve('tsx')] : []
  const script = `await import(${JSON.stringify(pathToFileURL(file).href)})`
  const written = await new Promise<string>((resolve) => {
    const options = { timeout: LOOK_MS, env: {} }
    const args = [...typescript, '--input-type=module', '-e', script]
    execFile(process.execPath, args, options, (_error, _stdout, stderr) => resolve(stderr))
  })
  // If the file ends too early there is no line to show.
  const [, end, line] = /^(file:\S+):(\d+)$/m.exec(written) ?? []
  return placeIn(written) ?? (end ? { file: pathOf(end), line: Number(line), column: 1 } : undefined)
}
