/** Imports one file of definitions, in JavaScript or in TypeScript, which Node 20 cannot read natively. */
import { writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

export interface ImportLimits {
  warn: (message: string) => void
  /** After this time, `warn` is told which file is slow, in milliseconds. */
  tellAfterMs: number
  /** After this time, the import has failed, in milliseconds. */
  giveUpAfterMs: number
}

/** Not thrown by the file: the stack means nothing to a user. */
export class ImportError extends Error {
  override name = 'ImportError'
}

/**
 * Imports a file; throws its error, or when the import does not finish. Also throws for a `.ts` or `.js` file that is
 * not an ES module by its package.json: CommonJS would get copies of our modules, and no error that it throws would be
 * `instanceof PermanentError`.
 */
export async function importFile(file: string, limits: ImportLimits): Promise<{ default?: unknown }> {
  if (/\.[jt]s$/.test(file) && (await packageType(dirname(file))) !== 'module') {
    const ending = file.endsWith('.ts') ? '.mts' : '.mjs'
    throw new ImportError(
      `it needs a package.json with "type": "module" in its folder or above it, or the ending ${ending}`,
    )
  }
  if (/\.m?ts$/.test(file)) await understandTypeScript()
  return within(file, limits, () => import(pathToFileURL(file).href))
}

/** The `type` of the package.json that applies to a folder. */
async function packageType(folder: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')).type
  } catch {
    const parent = dirname(folder)
    return parent === folder ? undefined : packageType(parent)
  }
}

let understood: Promise<unknown> | undefined

/**
 * Registers tsx, so that this process can import TypeScript. Not by `tsImport`, which would give the imported file its
 * own copies of our modules.
 */
function understandTypeScript(): Promise<unknown> {
  understood ??= import('tsx/esm/api').then(({ register }) => register())
  return understood
}

/** A file may hang in a top-level await, or end the process: the log names the file. */
async function within<Result>(file: string, limits: ImportLimits, work: () => Promise<Result>): Promise<Result> {
  const { warn, tellAfterMs, giveUpAfterMs } = limits
  const ended = () => writeSync(2, `the process exited while importing ${file}: does the file call exit?\n`)
  process.once('exit', ended)
  const told = setTimeout(() => warn(`still importing ${file}`), tellAfterMs)
  let given: NodeJS.Timeout | undefined
  const givenUp = new Promise<never>((_, reject) => {
    const why = `the import did not finish within ${giveUpAfterMs / 1_000} s: does the file have a top-level await?`
    given = setTimeout(() => reject(new ImportError(why)), giveUpAfterMs)
  })
  try {
    return await Promise.race([work(), givenUp])
  } finally {
    process.off('exit', ended)
    clearTimeout(told)
    clearTimeout(given)
  }
}
