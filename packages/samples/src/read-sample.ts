/** Reads the compressed files of the folder `data`. */
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'

/** The text of a gzipped file in `data`. */
export async function readSample(name: string): Promise<string> {
  const compressed = await readFile(new URL(`../data/${name}`, import.meta.url))
  return (await promisify(gunzip)(compressed)).toString('utf8')
}
