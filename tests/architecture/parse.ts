/** Reads the imports and functions of a source file with a parser. */
import { dirname, join, normalize } from 'node:path'
import { type ParserPlugin, parse } from '@babel/parser'
import type { Source } from './sources.js'

/** A function with its name, if it has one, and its length in lines. */
interface FunctionSize {
  name: string
  lines: number
}

export interface Parsed {
  /** All imported modules: by statements (also for types or side effects), by `import()`, or in types. */
  imports: readonly string[]
  /** The modules that it resolves without importing them: programs that it starts. */
  resolved: readonly string[]
  functions: readonly FunctionSize[]
}

interface Node {
  type: string
  loc?: { start: { line: number }; end: { line: number } }
  [field: string]: unknown
}

const known = new WeakMap<Source, Parsed>()

/** Parses a file once. */
export function parsed(source: Source): Parsed {
  const found = known.get(source) ?? parseSource(source)
  known.set(source, found)
  return found
}

function parseSource({ path, text }: Source): Parsed {
  const imports: string[] = []
  const resolved: string[] = []
  const functions: FunctionSize[] = []
  const { program } = parse(text, { sourceType: 'module', plugins: pluginsFor(path), attachComment: false })
  visit(program as unknown as Node, (node, name) => {
    const imported = importedBy(node)
    if (imported !== undefined) imports.push(imported)
    const looked = resolvedBy(node)
    if (looked !== undefined) resolved.push(looked)
    if (FUNCTIONS.has(node.type)) functions.push({ name: name ?? 'a function without a name', lines: linesOf(node) })
  })
  return { imports, resolved, functions }
}

const pluginsFor = (path: string): ParserPlugin[] => (path.endsWith('.tsx') ? ['typescript', 'jsx'] : ['typescript'])

const FUNCTIONS = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ObjectMethod',
  'ClassMethod',
  'ClassPrivateMethod',
])

const linesOf = ({ loc }: Node) => loc!.end.line - loc!.start.line + 1

/** Calls `each` for a node and all nodes inside it, with the name that the node has or is assigned to. */
function visit(node: Node, each: (node: Node, name: string | undefined) => void, given?: string): void {
  each(node, nameIn(node.id) ?? nameIn(node.key) ?? given)
  const givenInside = node.type === 'VariableDeclarator' ? nameIn(node.id) : nameIn(node.key)
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, each, givenInside)
  }
}

const isNode = (value: unknown): value is Node => typeof (value as Node | null | undefined)?.type === 'string'

/** The name in an identifier; a private name contains one. */
function nameIn(node: unknown): string | undefined {
  const { name, id } = (node ?? {}) as { name?: string; id?: { name?: string } }
  return name ?? id?.name
}

const textIn = (node: unknown) => {
  const { type, value } = (node ?? {}) as { type?: string; value?: unknown }
  return type === 'StringLiteral' ? (value as string) : undefined
}

function importedBy(node: Node): string | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return textIn(node.source)
    case 'TSImportType':
      return textIn(node.argument)
    case 'CallExpression':
      return (node.callee as Node).type === 'Import' ? textIn((node.arguments as unknown[])[0]) : undefined
  }
  return undefined
}

/** `import.meta.resolve('…')`. */
function resolvedBy(node: Node): string | undefined {
  if (node.type !== 'CallExpression') return undefined
  const { object, property } = node.callee as { object?: Node; property?: unknown }
  const isResolve = object?.type === 'MetaProperty' && nameIn(property) === 'resolve'
  return isResolve ? textIn((node.arguments as unknown[])[0]) : undefined
}

/** The files that it imports by path, as paths from the root. */
export const filesImportedBy = (source: Source) => [
  ...new Set(
    parsed(source)
      .imports.filter((name) => name.startsWith('.'))
      .map((name) => normalize(join(dirname(source.path), name)).replace(/\.js$/, '.ts')),
  ),
]
