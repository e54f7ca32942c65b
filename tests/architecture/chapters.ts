/** The folders inside the largest workspaces, which are the chapters of its story: each imports from lower ones only. */

import type { Graph } from './graph.js'
import { filesImportedBy } from './parse.js'
import { isTest, type Source } from './sources.js'

/** The files that are in no folder. */
const ROOT = 'root'

/** The folders of each workspace that has some, the lowest first; those of one floor do not import each other. */
const FLOORS: Record<string, readonly (readonly string[])[]> = {
  'packages/db': [['server'], ['ledger'], ['tenants'], ['operators'], ['schemas'], ['watch'], [ROOT]],
  'packages/engine': [['partition'], ['batch'], ['process'], ['settle'], ['lane'], ['ownership', 'watch'], [ROOT]],
  'apps/ingest': [['http'], ['door'], ['answers'], ['operations'], ['live'], ['routes'], [ROOT]],
}

/** The workspaces that have chapters. */
export const CHAPTERED: readonly string[] = Object.keys(FLOORS)

interface Room {
  workspace: string
  name: string
}

/** `partition` of `packages/engine/src/partition/keys.ts`; nothing for tests, and where there are no chapters. */
function roomOf(path: string): Room | undefined {
  const workspace = CHAPTERED.find((name) => path.startsWith(`${name}/src/`))
  if (workspace === undefined || isTest(path)) return undefined
  const folder = /^([^/]+)\//.exec(path.slice(`${workspace}/src/`.length))?.[1]
  return { workspace, name: folder ?? ROOT }
}

const floorOf = ({ workspace, name }: Room) => FLOORS[workspace]!.findIndex((names) => names.includes(name))

/** What a file imports from a folder that is not below its own. */
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

/** The folders of a workspace and those that they import from. */
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
