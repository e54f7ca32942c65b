/** Compares the tables of settings in docs/settings.md with the settings. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AlertsConfig, IngestConfig, WorkerConfig } from '@eventflow/runtime'
import { describe, expect, test } from '@jest/globals'

const text = readFileSync(join(import.meta.dirname, '../../docs/settings.md'), 'utf8')

/** The rows of the table with this head: a setting's name, and its documented default. */
function documented(head: string): [name: string, standard: string][] {
  const [, table] = new RegExp(`^\\| ${head} \\| default \\| \\|\\n\\|.*\\n((?:\\|.*\\n)+)`, 'm').exec(text)!
  return [...table!.matchAll(/^\| `([A-Z_]+)` \| (.*?) ?\|/gm)].map(([, name, standard]) => [name!, standard!])
}

type Settings = Record<string, { default?: unknown }>

/** A default as documented: none if the setting is required, or if it is empty. */
const written = (value: unknown) => (typeof value === 'string' && value !== '' ? `\`${value}\`` : `${value ?? ''}`)

const [ingest, worker, alerts]: Settings[] = [IngestConfig, WorkerConfig, AlertsConfig].map(
  ({ properties }) => properties,
)

const only = (settings: Settings, kept: (name: string) => boolean) =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => kept(name)))

const shared = (name: string) => name in ingest! && name in worker!
const traces = (name: string) => name.startsWith('OTEL_')

describe('docs/settings.md has every setting, and its default,', () => {
  test.each([
    ['both', only(ingest!, (name) => shared(name) && !traces(name))],
    ['ingest', only(ingest!, (name) => !shared(name))],
    ['worker', only(worker!, (name) => !shared(name))],
    ['alerts', only(alerts!, (name) => !(name in ingest!))],
  ])('of %s', (head, settings) => {
    const rows = documented(head)
    expect(rows.map(([name]) => name).sort()).toEqual(Object.keys(settings).sort())
    // In place of an empty default there may be words for its meaning.
    const stated = rows.filter(([name]) => settings[name]!.default !== '')
    expect(stated).toEqual(stated.map(([name]) => [name, written(settings[name]!.default)]))
  })

  test('of traces', () => {
    const chapter = text.slice(text.indexOf('\n## Traces\n'))
    expect(Object.keys(ingest!).filter((name) => traces(name) && !chapter.includes(name))).toEqual([])
    for (const [name, standard] of documented('variable')) {
      if (name in ingest! && standard !== '') expect([name, standard]).toEqual([name, written(ingest![name]!.default)])
    }
  })
})
