/** Locates the programs of the bench. */
import { fileURLToPath } from 'node:url'

/** The file of the program with this name. */
export function programFile(name: string): string {
  return fileURLToPath(new URL(`../programs/${name}.js`, import.meta.url))
}
