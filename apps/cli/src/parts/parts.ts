/** `eventflow parts`, `eventflow archive` and `eventflow restore`: the parts of the ledger. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import {
  ARCHIVED_TABLES,
  type ArchivedPart,
  type ArchivedTable,
  exportPart,
  importPart,
  type ListedPart,
  listParts,
  NotArchivableError,
  NotRestorableError,
  recordArchived,
} from '@eventflow/db'
import { askPostgres, unreachable } from '../ask-postgres.js'
import { type Print, span, table } from '../table.js'
import { ArchiveError, checkArchive, folderOf, type Manifest, readRows, writeArchive } from './archive-files.js'

interface Options {
  json?: boolean
  print: Print
  note: Print
}

/** Prints the parts of the ledger. Resolves with the exit code. */
export async function showParts(postgres: string, { json, print }: Options): Promise<number> {
  const parts = await askPostgres(postgres, listParts)
  if (json) print(JSON.stringify(parts))
  else if (parts.length === 0) print('the ledger is not in parts yet: it is converted while the pipeline runs')
  else print(shown(parts, Date.now()))
  return 0
}

function shown(parts: readonly ListedPart[], now: number): string {
  const rows = parts.map((part) => [
    `${part.part}`,
    `${part.from}`,
    `${part.until - 1}`,
    part.rows < 0 ? '?' : `${part.rows}`,
    `${(part.bytes / 1_048_576).toFixed(1)} MiB`,
    part.youngestAt ? span((now - part.youngestAt.getTime()) / 1_000) : '',
    part.keptUntil ? `restored, kept until ${dayOf(part.keptUntil)}` : part.state,
    part.archivedAt ? dayOf(part.archivedAt) : 'no',
  ])
  const heading = ['part', 'first seq', 'last seq', 'events about', 'size', 'age', 'state', 'archived']
  return table(heading, rows, ['part', 'first seq', 'last seq', 'events about', 'size', 'age'])
}

const dayOf = (moment: Date) => moment.toISOString().slice(0, 10)

/**
 * Copies closed parts into folders: the given one, or all that were not archived yet and whose youngest event is older
 * than `olderThan` days. Resolves with the exit code: 1 if a part cannot be archived.
 */
export async function archive(
  postgres: string,
  { out, part, olderThan = 0, json, print, note }: Options & { out: string; part?: number; olderThan?: number },
): Promise<number> {
  const numbers = part === undefined ? await findUnarchived(postgres, olderThan) : [part]
  if (numbers.length === 0 && !json) note('no closed part is left to archive')
  for (const number of numbers) {
    const folder = folderOf(out, number)
    if (await exists(folder)) {
      note(`${folder} exists; an archive is never overwritten. Move it, or give another --out`)
      return 1
    }
    try {
      const manifest = await exportPart(postgres, number, (rows) => writeArchive(out, rows))
      await askPostgres(postgres, (db) => recordArchived(db, number))
      print(json ? JSON.stringify({ folder, ...manifest }) : `${folder}: ${described(manifest)}`)
    } catch (error) {
      if (!(error instanceof NotArchivableError || error instanceof ArchiveError))
        throw unreachable(postgres, error) ?? error
      note(error.message)
      return 1
    }
  }
  return 0
}

async function findUnarchived(postgres: string, olderThan: number): Promise<number[]> {
  const youngest = Date.now() - olderThan * 86_400_000
  const parts = await askPostgres(postgres, listParts)
  return parts
    .filter(({ state, archivedAt }) => state === 'closed' && !archivedAt)
    .filter(({ youngestAt }) => (youngestAt?.getTime() ?? 0) <= youngest)
    .map(({ part }) => part)
}

const described = ({ from_seq, until_seq, tables }: Manifest) =>
  `seqs ${from_seq} to ${until_seq - 1}; ${ARCHIVED_TABLES.map((name) => `${name} ${tables[name].rows}`).join(', ')}`

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

/**
 * Puts an archived part back, after checking all its files. Resolves with the exit code: 1 if it cannot be restored;
 * then nothing was changed.
 */
export async function restore(
  postgres: string,
  { folder, keepDays, json, print, note }: Options & { folder: string; keepDays: number },
): Promise<number> {
  try {
    const manifest = await checkArchive(folder)
    const imported = await importPart(postgres, partOf(folder, manifest), keepDays)
    if (!imported) {
      note('retention is removing events at the moment: try again in a minute')
      return 1
    }
    if (json) print(JSON.stringify({ part: manifest.part, ...imported }))
    else {
      const { restored, present, unsettled, idsTaken } = imported
      print(`part ${manifest.part}: ${restored} events restored, ${present} are there already`)
      if (unsettled > 0) print(`left out, because they awaited a retry when the part was archived: ${unsettled}`)
      if (idsTaken > 0) print(`left out, because later events have their ids: ${idsTaken}`)
    }
    return 0
  } catch (error) {
    if (!(error instanceof NotRestorableError || error instanceof ArchiveError))
      throw unreachable(postgres, error) ?? error
    note(error instanceof NotRestorableError ? `${join(folder, 'manifest.json')}: ${error.message}` : error.message)
    return 1
  }
}

function partOf(folder: string, manifest: Manifest): ArchivedPart {
  const archived = (name: ArchivedTable) => ({
    columns: manifest.tables[name].columns,
    rows: readRows(folder, manifest, name),
  })
  const { part, from_seq: from, until_seq: until, installation } = manifest
  const tables = {
    raw_events: archived('raw_events'),
    processed_events: archived('processed_events'),
    failed_events: archived('failed_events'),
  }
  return { part, from, until, installation, tables }
}
