/** The report on the mutants: the score of each part, and each survivor with the opinion on it. */
import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { join } from 'node:path'
import type { Mutant, Verdict } from './judge.js'

/** A mutant with its verdict. */
export interface Judged {
  target: string
  mutant: Mutant
  verdict: Verdict
}

/** The opinion on a survivor, found by its line and its change. */
export interface Opinion {
  file: string
  line: string
  becomes: string
  /** `equivalent`: no test can tell. `harmless`: no guarantee is affected. `gap`: a test is missing. */
  is: 'equivalent' | 'harmless' | 'gap'
  because: string
}

/** The conditions under which the mutants were tried. */
export interface Circumstances {
  at: Date
  commit: string
  machine: string
  minutes: number
  /** The number of mutants, tried or not. */
  all: number
}

/** The place of a mutant, for a reader. */
export interface Place {
  file: string
  lineNumber: number
  line: string
  becomes: string
}

/** The place in the compiled file, with the line number of the source. */
export function placeOf(root: string, { file, start, end, replacement }: Mutant): Place {
  const text = readFileSync(join(root, file), 'utf8')
  const from = text.lastIndexOf('\n', start - 1) + 1
  const to = text.indexOf('\n', end)
  const inLine = (shown: string) => shown.replace(/\s+/g, ' ').trim()
  const row = text.slice(0, start).split('\n').length - 1
  const entry = new SourceMap(JSON.parse(readFileSync(join(root, `${file}.map`), 'utf8'))).findEntry(row, start - from)
  return {
    file: file.replace('/dist/', '/src/').replace(/js$/, 'ts'),
    lineNumber: 'originalLine' in entry ? entry.originalLine + 1 : row + 1,
    line: inLine(text.slice(from, to)),
    becomes: inLine(text.slice(from, start) + replacement + text.slice(end, to)),
  }
}

const isDetected = ({ verdict }: Judged) => verdict.status === 'killed' || verdict.status === 'timed out'

/** The share of detected mutants, from 0 to 1. */
export const scoreOf = (judged: readonly Judged[]) => judged.filter(isDetected).length / Math.max(judged.length, 1)

const percent = (part: number) => `${(100 * part).toFixed(1)} %`
/** The uncertainty of a sample's score: twice the standard error of a proportion. */
function doubtOf(judged: readonly Judged[], all: number): string {
  if (judged.length >= all) return ''
  const score = scoreOf(judged)
  return `; of all it is within ${percent(2 * Math.sqrt((score * (1 - score)) / judged.length))} of that, most likely`
}

const code = (text: string) => `\`${text.replaceAll('`', '´').replaceAll('|', '\\|').slice(0, 160)}\``

function row(name: string, judged: readonly Judged[]): string {
  const count = (status: Verdict['status']) => judged.filter(({ verdict }) => verdict.status === status).length
  const counts = [count('killed'), count('timed out'), count('survived'), count('uncovered')]
  return `| ${name} | ${judged.length} | ${counts.join(' | ')} | ${percent(scoreOf(judged))} |`
}

/** The page. Survivors without an opinion are marked so. */
export function describeMutants(
  judged: readonly Judged[],
  about: Circumstances,
  opinions: readonly Opinion[],
  root: string,
): string {
  const targets = [...new Set(judged.map(({ target }) => target))]
  const survivors = judged
    .filter((one) => !isDetected(one))
    .map((one) => ({ ...one, place: placeOf(root, one.mutant) }))
  const rows = survivors.map(({ verdict, place }) => {
    const opinion = opinions.find(
      ({ file, line, becomes }) => file === place.file && line === place.line && becomes === place.becomes,
    )
    const said = opinion ? `${opinion.is}: ${opinion.because}` : 'not judged yet'
    const status = verdict.status === 'uncovered' ? ' (no test runs it)' : ''
    return `| ${place.file.replace(/^(packages|apps)\//, '').replace('/src/', '/')}:${place.lineNumber}${status} | ${code(place.line)} | ${code(place.becomes)} | ${said} |`
  })
  return `# Mutants

\`npm run mutants\` makes one small change at a time in the compiled files, and runs the tests that run the changed line. A change
that no test notices has survived. It writes this page.

| | |
|---|---|
| Run on | ${about.at.toISOString().slice(0, 16).replace('T', ' ')} UTC |
| Commit | ${about.commit} |
| Machine | ${about.machine} |
| Duration | ${about.minutes.toFixed(0)} minutes, besides what earlier runs had found out |
| Mutants | ${judged.length} tried of ${about.all}${judged.length < about.all ? ', chosen by chance' : ''} |
| Score | **${percent(scoreOf(judged))}** of ${judged.length}${doubtOf(judged, about.all)} |

A mutant is *timed out* when the tests did not end any more: that is noticed, too. The score counts those that were killed or
timed out, of all, no matter what is said of the survivors below.

| part | mutants | killed | timed out | survived | uncovered | score |
|---|---|---|---|---|---|---|
${targets
  .map((target) =>
    row(
      target,
      judged.filter((one) => one.target === target),
    ),
  )
  .join('\n')}

## Survivors

*equivalent*: no test can tell it from the original. *harmless*: it changes nothing that is promised, such as a figure in the log or
how fast something is. *gap*: a test is lacking.

| where | was | became | judgement |
|---|---|---|---|
${rows.join('\n')}
`
}
