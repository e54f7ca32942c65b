/** Windows and joins with what they hold: of a tenant, or of all. */
import { asTenant } from '../server/as-tenant.js'
import type { Db } from '../server/connect.js'
import { readFiguresOf, type StateFigures } from '../windows/figures.js'
import { findRowOfKind, type GroupRow, readRowsInCode, readRowsOfKind, type StatefulKind } from './group-row.js'

export interface StatefulGroup extends GroupRow {
  state: StateFigures
}

/** Up to how many rows are counted for the gauges, which are read less often than lists. */
const MAX_IN_GAUGES = 100_000

/** The most groups that `readStateFigures` reads. */
const MAX_IN_CODE = 100

/** Resolves with the windows, or the joins, and what a tenant has in them; the newest first. */
export async function listStateful(
  db: Db,
  { kind, tenantId }: { kind: StatefulKind; tenantId: string },
  page: { before: number | undefined; limit: number },
): Promise<StatefulGroup[]> {
  return withFigures(db, await readRowsOfKind(db, kind, page), tenantId)
}

/** Resolves with a window, or a join, and what a tenant has in it, or undefined. */
export async function findStateful(
  db: Db,
  { kind, name, tenantId }: { kind: StatefulKind; name: string; tenantId: string },
): Promise<StatefulGroup | undefined> {
  const group = await findRowOfKind(db, kind, name)
  return group && (await withFigures(db, [group], tenantId))[0]
}

async function withFigures(db: Db, groups: readonly GroupRow[], tenantId: string): Promise<StatefulGroup[]> {
  const figures = await asTenant(db, tenantId, (tx) => readFiguresOf(tx, groups, { tenantId }))
  return groups.map((group) => ({ ...group, state: figures.get(group.groupId)! }))
}

/** Resolves with all windows and joins, at most 100, and what all tenants have in them, counted up to `max` rows. */
export async function readStateFigures(db: Db, { max = MAX_IN_GAUGES } = {}): Promise<StatefulGroup[]> {
  const groups = await readRowsInCode(db, MAX_IN_CODE)
  const figures = await readFiguresOf(db, groups, { max })
  return groups.flatMap((group) => {
    const state = figures.get(group.groupId)
    return state ? [{ ...group, state }] : []
  })
}
