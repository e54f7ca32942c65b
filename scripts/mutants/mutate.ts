/** The small changes to a compiled file, one at a time: each is a mutant that a test should detect. */
import { parse } from '@babel/parser'
import { sqlMutations } from './mutate-sql.js'
import type { Mutation } from './mutation.js'

/** A node of the syntax tree, read by the names of its fields. */
interface Node {
  type: string
  start: number
  end: number
  [field: string]: unknown
}

const OTHER_OPERATORS: Record<string, readonly string[]> = {
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '===': ['!=='],
  '!==': ['==='],
  '+': ['-'],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '%': ['*'],
  '&&': ['||'],
  '||': ['&&'],
  '??': ['&&'],
  '+=': ['-='],
  '-=': ['+='],
  '++': ['--'],
  '--': ['++'],
}

const OTHER_METHODS: Record<string, string> = { some: 'every', every: 'some', min: 'max', max: 'min' }
const DROPPED_METHODS = ['filter', 'sort', 'toSorted', 'reverse', 'toReversed', 'slice']

/** All mutations of a module, in its order; only those that can be parsed. */
export function mutationsOf(text: string): Mutation[] {
  const mutations: Mutation[] = []
  visit(parseModule(text), undefined, (node, parent) => mutations.push(...ofNode(node, parent, text)))
  return mutations.filter((mutation) => isModule(apply(text, mutation))).sort((a, b) => a.start - b.start)
}

/** The text with the change applied. */
export function apply(text: string, { start, end, replacement }: Mutation): string {
  return text.slice(0, start) + replacement + text.slice(end)
}

const parseModule = (text: string) => parse(text, { sourceType: 'module' }).program as unknown as Node

function isModule(text: string): boolean {
  try {
    parseModule(text)
    return true
  } catch {
    return false
  }
}

const isNode = (value: unknown): value is Node => typeof (value as Node | null)?.type === 'string'

function visit(node: Node, parent: Node | undefined, see: (node: Node, parent: Node | undefined) => void): void {
  see(node, parent)
  for (const [field, value] of Object.entries(node)) {
    if (field.endsWith('Comments') || field === 'loc' || field === 'extra') continue
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, node, see)
  }
}

function ofNode(node: Node, parent: Node | undefined, text: string): Mutation[] {
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression':
    case 'AssignmentExpression':
      return ofOperator(node, text)
    case 'UpdateExpression':
      return [...ofUpdate(node)]
    case 'UnaryExpression':
      return node.operator === '!' ? [replaced(node, textOf(node.argument as Node, text), 'negation removed')] : []
    case 'BooleanLiteral':
      return [replaced(node, String(!node.value), 'boolean')]
    case 'IfStatement':
    case 'ConditionalExpression':
      return ['true', 'false'].map((value) => replaced(node.test as Node, value, 'condition'))
    case 'WhileStatement':
    case 'ForStatement':
      return isNode(node.test) ? [replaced(node.test, 'false', 'condition')] : []
    case 'ExpressionStatement':
      return isRemovable(node.expression as Node) ? [replaced(node, ';', 'statement removed')] : []
    case 'ThrowStatement':
    case 'ContinueStatement':
      return [replaced(node, ';', 'statement removed')]
    case 'BreakStatement':
      return parent?.type === 'SwitchCase' ? [] : [replaced(node, ';', 'statement removed')]
    case 'ReturnStatement':
      return isNode(node.argument) && !saysItself(node.argument) ? [replaced(node, 'return;', 'return value')] : []
    case 'ArrowFunctionExpression':
      return ofArrowFunction(node)
    case 'ArrayExpression':
      return (node.elements as Node[]).length > 0 ? [replaced(node, '[]', 'empty')] : []
    case 'ObjectExpression':
      return (node.properties as Node[]).length > 0 ? [replaced(node, '{}', 'empty')] : []
    case 'OptionalMemberExpression':
    case 'OptionalCallExpression':
      return ofOptionalChain(node, text)
    case 'CallExpression':
      return ofMethod(node, text)
    case 'StringLiteral':
    case 'TemplateElement':
      return sqlMutations(textOf(node, text)).map((m) => ({
        ...m,
        start: m.start + node.start,
        end: m.end + node.start,
      }))
    default:
      return []
  }
}

const textOf = (node: Node, text: string) => text.slice(node.start, node.end)

const replaced = ({ start, end }: Node, replacement: string, kind: string): Mutation => ({
  start,
  end,
  replacement,
  kind,
})

function ofOperator(node: Node, text: string): Mutation[] {
  const { left, right, operator } = node as Node & { left: Node; right: Node; operator: string }
  if (['+', '+='].includes(operator) && [left, right].some(isText)) return []
  const start = text.indexOf(operator, left.end)
  const end = start + operator.length
  return (OTHER_OPERATORS[operator] ?? []).map((replacement) => ({
    start,
    end,
    replacement,
    kind: 'operator',
    at: node.start,
  }))
}

function* ofUpdate(node: Node): Generator<Mutation> {
  const { operator, prefix } = node as Node & { operator: string; prefix: boolean }
  const start = prefix ? node.start : node.end - 2
  for (const replacement of OTHER_OPERATORS[operator]!) yield { start, end: start + 2, replacement, kind: 'operator' }
}

const isText = ({ type }: Node) => type === 'StringLiteral' || type === 'TemplateLiteral'

/** Nodes that are mutated by rules of their own, or have nothing to remove. */
const saysItself = ({ type, ...node }: Node) =>
  ['BooleanLiteral', 'NullLiteral', 'ArrayExpression', 'ObjectExpression'].includes(type) || node.name === 'undefined'

const isRemovable = ({ type, ...node }: Node) =>
  ['AwaitExpression', 'AssignmentExpression', 'UpdateExpression', 'OptionalCallExpression'].includes(type) ||
  (type === 'UnaryExpression' && node.operator === 'void') ||
  (type === 'CallExpression' && (node.callee as Node).type !== 'Super')

function ofArrowFunction({ body }: Node): Mutation[] {
  const node = body as Node
  return node.type === 'BlockStatement' || saysItself(node) ? [] : [replaced(node, 'undefined', 'return value')]
}

function ofOptionalChain(node: Node, text: string): Mutation[] {
  if (!node.optional) return []
  const from = ((node.object ?? node.callee) as Node).end
  const start = text.indexOf('?.', from)
  const isName = node.type === 'OptionalMemberExpression' && !node.computed
  return [{ start, end: start + 2, replacement: isName ? '.' : '', kind: 'optional chain' }]
}

function ofMethod(node: Node, text: string): Mutation[] {
  const { object, property } = node.callee as Node & { object?: Node; property?: Node }
  if (!object || !property) return []
  const name = String(property.name)
  const other = Object.hasOwn(OTHER_METHODS, name) ? OTHER_METHODS[name] : undefined
  if (other) return [replaced(property, other, 'method')]
  return DROPPED_METHODS.includes(name) ? [replaced(node, textOf(object, text), 'method')] : []
}
