/** The dashboards: the files match the code, and a newcomer can read them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { dashboardFiles } from './dashboards.js'

const FOLDER = join(import.meta.dirname, '../dashboards')

/** The tested properties of a panel; a row has neither a description nor targets. */
interface Panel {
  id: number
  type: string
  title: string
  description?: string
  datasource?: { type: string; uid: string }
  gridPos: { x: number; y: number; w: number; h: number }
  fieldConfig?: { defaults: { unit?: string; mappings?: unknown[] } }
  targets?: { refId: string; expr: string; legendFormat: string }[]
}

const dashboards = [...dashboardFiles()].map(([file, text]) => ({ file, text, ...JSON.parse(text) }))

test('the files are those that npm run dashboards writes', () => {
  expect(readdirSync(FOLDER).sort()).toEqual([...dashboardFiles().keys()].sort())
  for (const { file, text } of dashboards) expect(readFileSync(join(FOLDER, file), 'utf8')).toBe(text)
})

test('each has a unique address and links to all others', () => {
  expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(dashboards.length)
  for (const { links, tags } of dashboards) {
    expect(links).toEqual([expect.objectContaining({ type: 'dashboards', tags, keepTime: true, asDropdown: false })])
  }
})

describe.each(dashboards.map((dashboard) => [dashboard.title, dashboard.panels as Panel[]] as const))(
  '%s',
  (_, all) => {
    const panels = all.filter(({ type }) => type !== 'row')

    test('every panel has a description, a unit and names for its series', () => {
      for (const { title, description, datasource, targets = [], type, fieldConfig } of panels) {
        expect(title).toMatch(/\S/)
        expect(description).toMatch(/\.$/)
        expect(datasource).toEqual({ type: 'prometheus', uid: '$datasource' })
        expect(targets.length).toBeGreaterThan(0)
        expect(targets.every(({ legendFormat }) => legendFormat !== '')).toBe(true)
        expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
        if (type === 'timeseries' || type === 'stat') expect(fieldConfig!.defaults.unit).toMatch(/\w/)
        if (type === 'state-timeline') expect(fieldConfig!.defaults.mappings).toHaveLength(1)
      }
    })

    test('panels do not overlap', () => {
      const taken = new Map<string, string>()
      for (const { title, gridPos } of all) {
        expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(`${title} and ${taken.get(`${x} ${y}`)}`).toBe(`${title} and undefined`)
            taken.set(`${x} ${y}`, title)
          }
        }
      }
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
    })
  },
)
