/** The folders inside the largest workspaces, called chapters: each imports from lower ones only. */

import type { Graph } from './graph.js'
import { filesImportedBy } from './parse.js'
import { isTest, type Source } from './sources.js'

/** Files that are in no folder. */
const ROOT = 'root'

/** The chapters of each workspace that has some, the lowest first. Those on the same floor do not import each other. */
const FLOORS: Record<string, readonly (readonly string[])[]> = {
  'packages/db': [
    ['server'],
    ['ledger'],
    ['log'],
    ['parts'],
    ['tenants'],
    ['windows'],
    ['groups'],
    ['operators'],
    ['schemas'],
    ['watch'],
    [ROOT],
  ],
  'packages/engine': [
    ['partition'],
    ['batch'],
    ['process'],
    ['settle'],
    ['lane'],
    ['ownership', 'watch'],
    ['groups'],
    ['windows', 'joins'],
    [ROOT],
  ],
  'apps/ingest': [['http'], ['door'], ['answers'], ['operations'], ['live'], ['routes'], [ROOT]],
}

/** The workspaces that have chapters. */
export const CHAPTERED: readonly string[] = Object.keys(FLOORS)

interface Room {
  workspace: string
  name: string
}

/**
 * Returns `partition` for `packages/engine/src/partition/keys.ts`; undefined for tests and in workspaces without
 * chapters.
 */
function roomOf(path: string): Room | undefined {
  const workspace = CHAPTERED.find((name) => path.startsWith(`${name}/src/`))
  if (workspace === undefined || isTest(path)) return undefined
  const folder = /^([^/]+)\//.exec(path.slice(`${workspace}/src/`.length))?.[1]
  return { workspace, name: folder ?? ROOT }
}

const floorOf = ({ workspace, name }: Room) => FLOORS[workspace]!.findIndex((names) => names.includes(name))

/** Returns the imports of a file from folders that are not below its own. */
export function importsUpwards(source: Source): string[] {
  const room = roomOf(source.path)
  if (!room) return []
  if (floorOf(room) === -1) return ['is in a folder that has no floor']
  return filesImportedBy(source)
    .filter((target) => {
      const other = roomOf(target)
      return other?.workspace === room.workspace && other.name !== room.name && floorOf(other) >= floorOf(room)
    })
    .map((target) => `imports ${target}, which is not below it`)
}

/** Returns the folders of a workspace and those that they import from. */
export function chapterGraph(workspace: string, sources: readonly Source[]): Graph {
  const graph = new Map<string, Set<string>>()
  for (const source of sources) {
    const room = roomOf(source.path)
    if (room?.workspace !== workspace) continue
    const others = filesImportedBy(source).flatMap((path) => roomOf(path)?.name ?? [])
    graph.set(room.name, new Set([...(graph.get(room.name) ?? []), ...others.filter((name) => name !== room.name)]))
  }
  return new Map([...graph].map(([name, others]) => [name, [...others]]))
}
