/** Imports definitions that are written in TypeScript, which Node 20 cannot do by itself. */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Imports a `.ts` or `.mts` file. Throws when it is a `.ts` file that is no ES module by its package.json: CommonJS
 * would get copies of our modules, and then no error it throws would be `instanceof PermanentError`.
 */
export async function importTypeScript(file: string): Promise<{ default?: unknown }> {
  if (file.endsWith('.ts') && (await packageType(dirname(file))) !== 'module') {
    throw new Error('it needs a package.json with "type": "module" in its folder or above it, or the ending .mts')
  }
  await understandTypeScript()
  return import(pathToFileURL(file).href)
}

/** The `type` of the package.json that is in charge of a folder. */
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
 * Lets this process import TypeScript from now on. Not tsx's `tsImport`: that gives what it imports its own copies of
 * our modules, too.
 */
function understandTypeScript(): Promise<unknown> {
  understood ??= import('tsx/esm/api').then(({ register }) => register())
  return understood
}
