/** The import graphs of files and packages, and their cycles. */
import { filesImportedBy, parsed } from './parse.js'
import { isTest, namesOfOurs, type Source, type Workspace } from './sources.js'

/** The edges of each node. */
export type Graph = ReadonlyMap<string, readonly string[]>

/** Returns the files and the files that they import by path. */
export function fileGraph(sources: readonly Source[]): Graph {
  const paths = new Map(sources.map(({ path }) => [withoutExtension(path), path]))
  const importedBy = (source: Source) =>
    filesImportedBy(source).flatMap((path) => paths.get(withoutExtension(path)) ?? [])
  return new Map(sources.map((source) => [source.path, importedBy(source)]))
}

const withoutExtension = (path: string) => path.replace(/\.[jt]sx?$/, '')

/** Returns the workspaces and those of our packages that they import; tests beside the sources are ignored. */
export function packageGraph(workspaces: readonly Workspace[]): Graph {
  const nameOf = ({ path }: Workspace) =>
    path === 'tests/kit' ? 'testkit' : path.replace(/^(packages|apps|scripts)\//, '')
  const importsOf = ({ path, sources }: Workspace) =>
    namesOfOurs(
      sources
        .filter((source) => path.startsWith('tests') || !isTest(source.path))
        .flatMap((source) => parsed(source).imports),
    )
  return new Map(workspaces.map((workspace) => [nameOf(workspace), importsOf(workspace)]))
}

/** Returns a shortest cycle for each set of nodes that reach each other, from its first node by name back to it. */
export function circlesIn(graph: Graph): string[][] {
  const circles: string[][] = []
  const inCircles = new Set<string>()
  for (const node of [...graph.keys()].sort()) {
    if (inCircles.has(node)) continue
    const circle = shortestPath(graph, node, node)
    if (!circle) continue
    circles.push(circle)
    for (const other of graph.keys()) {
      if (shortestPath(graph, node, other) && shortestPath(graph, other, node)) inCircles.add(other)
    }
  }
  return circles
}

function shortestPath(graph: Graph, from: string, to: string): string[] | undefined {
  const reachedFrom = new Map<string, string>()
  const queue = [from]
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (next === to) return [...pathBack(reachedFrom, node), to]
      if (next === from || reachedFrom.has(next)) continue
      reachedFrom.set(next, node)
      queue.push(next)
    }
  }
  return undefined
}

function pathBack(reachedFrom: ReadonlyMap<string, string>, node: string): string[] {
  const before = reachedFrom.get(node)
  return before === undefined ? [node] : [...pathBack(reachedFrom, before), node]
}

/** Returns the graph as text: a line for each node, those without imports last. */
export function graphText(graph: Graph): string {
  const heights = new Map([...graph.keys()].map((node) => [node, heightOf(graph, node)]))
  const height = (node: string) => heights.get(node) ?? 0
  const topFirst = (a: string, b: string) => height(b) - height(a) || a.localeCompare(b)
  const width = Math.max(...[...graph.keys()].map((node) => node.length))
  const line = (node: string) => {
    const targets = graph.get(node)!.toSorted(topFirst)
    return targets.length > 0 ? `${node.padEnd(width)} → ${targets.join(', ')}` : node
  }
  return [...graph.keys()].sort(topFirst).map(line).join('\n')
}

/** The length of the longest path down from a node. A node in a cycle counts once. */
function heightOf(graph: Graph, node: string, above: readonly string[] = []): number {
  const below = (graph.get(node) ?? []).filter((next) => next !== node && !above.includes(next))
  return Math.max(0, ...below.map((next) => 1 + heightOf(graph, next, [...above, node])))
}
