/** References in the documents are valid: files and their headings, npm scripts, commands and their options. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../..')

const inFolder = (folder: string) => readdirSync(join(ROOT, folder)).map((name) => join(folder, name))
const paths = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...inFolder('docs'), ...inFolder('docs/adr')]
const documents = new Map(
  paths.filter((path) => path.endsWith('.md')).map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]),
)
const withoutCode = (text: string) => text.replace(/^```.*?^```$/gms, '')

/** All matches of a pattern in all documents, with the document they are in. */
const found = (pattern: RegExp, read = (text: string) => text) =>
  [...documents].flatMap(([path, text]) => [...read(text).matchAll(pattern)].map(([, ...groups]) => ({ path, groups })))

/** The anchors of a document's headings, as GitHub and others make them. */
const anchorsOf = (text: string) =>
  [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )

test('the README is short', () => {
  expect(documents.get('README.md')!.trimEnd().split('\n').length).toBeLessThanOrEqual(200)
})

test('links lead to existing files and headings', () => {
  const links = found(/\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)/g, withoutCode)
  expect(links.length).toBeGreaterThan(50)
  const broken = links.filter(({ path, groups: [file, anchor] }) => {
    const target = file ? normalize(join(dirname(path), file)) : path
    const text = documents.get(target)
    return !existsSync(join(ROOT, target)) || (anchor && text && !anchorsOf(text).includes(anchor))
  })
  expect(broken).toEqual([])
})

test('npm scripts exist in package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const named = found(/\bnpm run ([a-z:-]+)/g)
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter(({ groups: [name] }) => !(name! in scripts))).toEqual([])
})

describe('the commands', () => {
  // The shell completion lists every command and option of the program itself.
  const completion = execFileSync(process.execPath, [join(ROOT, 'apps/cli/dist/main.js'), 'completion', 'bash'])
  const words = new Map(
    [...completion.toString().matchAll(/^ {4}'([a-z ]*)'\) COMPREPLY=\(\$\(compgen -W '([^']*)'/gm)].map(
      ([, place, known]) => [place!, known!.split(' ')] as const,
    ),
  )

  test('shown in examples, and their options, exist in the program', () => {
    const shown = found(/^(?:npx )?eventflow ([a-z][^#|\n]*)/gm)
    expect(shown.length).toBeGreaterThan(30)
    const unknown = shown.filter(({ groups: [line] }) => {
      const [name, next] = line!.split(' ')
      const place = words.has(`${name} ${next}`) ? `${name} ${next}` : name!
      const options = line!.replace(/'[^']*'|"[^"]*"/g, '').match(/(?<= )--[a-z-]+/g) ?? []
      return options.some((option) => !words.get(place)?.includes(option)) || !words.has(place)
    })
    expect(unknown).toEqual([])
  })

  test('are all in the table of docs/cli.md', () => {
    const cells = [...documents.get('docs/cli.md')!.matchAll(/^\| (`[a-z].*?`) \|[^\\]/gm)].map(([, cell]) => cell!)
    const named = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, command]) => command!.split(' ')))
    expect(named.map(([name]) => name).sort()).toEqual(
      words
        .get('')!
        .filter((word) => !/help/.test(word))
        .sort(),
    )
    for (const [name, parts] of named.filter(([, parts]) => parts !== undefined)) {
      expect([name, ...parts!.split('\\|').sort()]).toEqual([
        name,
        ...words
          .get(name!)!
          .filter((word) => !/help/.test(word))
          .sort(),
      ])
    }
  })
})
