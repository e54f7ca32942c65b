/** The arithmetic of a document: figures in its tables, a model in its `js` block, and the results of both. */
import { runInNewContext } from 'node:vm'

type Model = (expression: string) => number

/** A measured or assumed figure: a row that begins with its name and its value. */
const FIGURE = /^\| `(\w+)` \| ([\d.,]+) \|/gm
const MODEL = /^```js\n(.*?)^```$/ms
/** A line of the model with its result. */
const RESULT = /^(const (\w+) = .*\/\/ → ).*$/gm
/**
 * A table whose headers name functions of the model, or its numbers, in backticks; the first column holds their
 * arguments.
 */
const TABLE = /^(\| [^|\n]+ \|(?: [^|\n]*`\w+`[^|\n]* \|)+\n\|[-|: ]+\|\n)((?:\| [\d,]+ \|.*\n)+)/gm

/**
 * The text with all results recomputed from its figures: the lines of the model, and the tables whose headers name its
 * functions. Throws if the model cannot be run.
 */
export function recompute(text: string): string {
  const model = modelOf(text)
  return text
    .replace(MODEL, (block) => block.replace(RESULT, (_, line, name) => line + shown(model(name))))
    .replace(TABLE, (_, head: string, rows: string) => head + rows.replace(/^.+$/gm, (row) => filled(row, head, model)))
}

function modelOf(text: string): Model {
  const figures = [...text.matchAll(FIGURE)].map(([, name, value]) => `const ${name} = ${value!.replaceAll(',', '')}`)
  const program = ['const { ceil, max, min, log2 } = Math', ...figures, MODEL.exec(text)?.[1]].join('\n')
  return (expression) => runInNewContext(`${program}\n;${expression}`)
}

function filled(row: string, head: string, model: Model): string {
  const argument = /[\d,]+/.exec(row)![0]
  const names = [...head.matchAll(/`(\w+)`/g)].map(([, name]) => name)
  const cells = names.map((name) => shown(model(`${name}(${argument.replaceAll(',', '')})`)))
  return `| ${[argument, ...cells].join(' | ')} |`
}

/** Three significant figures: the measurements support no more. */
const shown = (value: number) => value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
