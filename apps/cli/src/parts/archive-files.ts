/**
 * The files of an archived part: a folder `part-N` with `manifest.json` and a gzip NDJSON file for each table. The
 * folder gets its name when everything in it is written and was read back: a folder with that name is complete.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { ARCHIVED_TABLES, type ArchivedTable, type Column, type PartExport } from '@eventflow/db'

const MANIFEST = 'manifest.json'

/** The format of the files. */
const FORMAT = 1

interface ArchivedFile {
  file: string
  rows: number
  bytes: number
  /** Of the compressed file, in hexadecimal. */
  sha256: string
  columns: Column[]
}

/** What `manifest.json` says. */
export interface Manifest {
  format: number
  installation: string
  part: number
  from_seq: number
  until_seq: number
  made_at: string
  postgres: string
  tables: Record<ArchivedTable, ArchivedFile>
}

/** An archive cannot be written or used: the message names the file, and the line if it is one. */
export class ArchiveError extends Error {
  override name = 'ArchiveError'
}

/** The folder of a part. */
export const folderOf = (out: string, part: number) => join(out, `part-${part}`)

/**
 * Writes a part into a folder, which must not exist. Resolves with its manifest. Rejects if anything fails, with
 * ArchiveError if the files cannot be written: then there is no folder.
 */
export async function writeArchive(out: string, part: PartExport): Promise<Manifest> {
  const folder = folderOf(out, part.part)
  const incomplete = `${folder}.incomplete`
  let ofDatabase: unknown
  async function* rowsOf(table: ArchivedTable) {
    try {
      yield* part.rows(table)
    } catch (error) {
      ofDatabase = error
      throw error
    }
  }
  try {
    await rm(incomplete, { recursive: true, force: true })
    await mkdir(incomplete, { recursive: true })
    const tables = {} as Manifest['tables']
    for (const table of ARCHIVED_TABLES) {
      const file = `${table}.ndjson.gz`
      const rows = await writeRows(join(incomplete, file), rowsOf(table))
      tables[table] = { file, rows, ...(await measure(join(incomplete, file))), columns: part.columns[table] }
    }
    const { installation, postgres, from, until } = part
    const manifest: Manifest = {
      ...{ format: FORMAT, installation, part: part.part, from_seq: from, until_seq: until },
      ...{ made_at: new Date().toISOString(), postgres, tables },
    }
    await writeFile(join(incomplete, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`, { flush: true })
    await checkArchive(incomplete)
    await flush(incomplete)
    await rename(incomplete, folder)
    await flush(dirname(folder))
    return manifest
  } catch (error) {
    await rm(incomplete, { recursive: true, force: true }).catch(() => {})
    if (error === ofDatabase || (error as NodeJS.ErrnoException).syscall === undefined) throw error
    throw new ArchiveError(`${folder} cannot be written: ${(error as Error).message}`)
  }
}

async function writeRows(path: string, rows: AsyncIterable<string[]>): Promise<number> {
  let count = 0
  async function* texts() {
    for await (const lines of rows) {
      count += lines.length
      yield lines.map((line) => `${line}\n`).join('')
    }
  }
  await pipeline(texts, createGzip(), createWriteStream(path, { flush: true }))
  return count
}

/** Files and names in a folder are durable only when the folder is. */
async function flush(folder: string): Promise<void> {
  const handle = await open(folder)
  await handle.sync().finally(() => handle.close())
}

async function measure(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return { bytes: (await stat(path)).size, sha256: hash.digest('hex') }
}

/**
 * Checks the manifest, and each file against it: its checksum and its number of rows. Resolves with the manifest.
 * Rejects with ArchiveError if anything differs.
 */
export async function checkArchive(folder: string): Promise<Manifest> {
  const manifest = await readManifest(folder)
  for (const table of ARCHIVED_TABLES) {
    const { file, rows, sha256 } = manifest.tables[table]
    const path = join(folder, file)
    const found = await measure(path).catch((error) => {
      throw new ArchiveError(`${path} cannot be read: ${error.message}`)
    })
    if (found.sha256 !== sha256) {
      throw new ArchiveError(`${path} is damaged: its SHA-256 is ${found.sha256}, and ${MANIFEST} says ${sha256}`)
    }
    let count = 0
    for await (const lines of readRows(folder, manifest, table)) count += lines.length
    if (count !== rows) throw new ArchiveError(`${path} has ${count} rows, and ${MANIFEST} says ${rows}`)
  }
  return manifest
}

async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST)
  let manifest: Manifest
  try {
    manifest = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new ArchiveError(`${path} cannot be read: ${(error as Error).message}`)
  }
  if (manifest?.format !== FORMAT)
    throw new ArchiveError(`${path} has format ${manifest?.format}; this version reads ${FORMAT}`)
  const isWhole = ARCHIVED_TABLES.every((table) => {
    const { file, columns } = manifest.tables?.[table] ?? {}
    return typeof file === 'string' && file === basename(file) && Array.isArray(columns)
  })
  if (!isWhole || ![manifest.part, manifest.from_seq, manifest.until_seq].every(Number.isInteger)) {
    throw new ArchiveError(`${path} is not the manifest of a part`)
  }
  return manifest
}

/** Rows that are in memory at a time. */
const AT_ONCE = 100

/** Reads the rows of a table, a few at a time. Rejects with ArchiveError at a line that is no JSON object. */
export async function* readRows(
  folder: string,
  { tables }: Pick<Manifest, 'tables'>,
  table: ArchivedTable,
): AsyncGenerator<string[]> {
  const path = join(folder, tables[table].file)
  let number = 0
  let lines: string[] = []
  for await (const line of readLines(path)) {
    number++
    if (!isObject(line)) throw new ArchiveError(`${path}, line ${number}: not a JSON object`)
    if (lines.push(line) === AT_ONCE) {
      yield lines
      lines = []
    }
  }
  if (lines.length > 0) yield lines
}

/** Only LF ends a line. For `node:readline` other characters do, too, which a JSON text may have. */
async function* readLines(path: string): AsyncGenerator<string> {
  const gunzip = createGunzip().setEncoding('utf8')
  // Its error is also that of `gunzip`.
  pipeline(createReadStream(path), gunzip).catch(() => {})
  let unfinished = ''
  try {
    for await (const text of gunzip) {
      const [first, ...others] = text.split('\n')
      unfinished += first
      for (const next of others) {
        yield unfinished
        unfinished = next
      }
    }
  } catch (error) {
    throw new ArchiveError(`${path} cannot be read: ${(error as Error).message}`)
  }
  if (unfinished !== '') yield unfinished
}

function isObject(line: string): boolean {
  try {
    const value = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
