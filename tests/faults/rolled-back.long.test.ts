/** Redis is rolled back at every point of a lane's turn, and nothing is lost, duplicated or reordered. */
import { expect, test } from '@jest/globals'
import { playWith } from './planted/bug.js'
import { POINTS, rolledBackAt } from './quick/rolled-back.js'

test.each(Object.entries(POINTS))(
  '%s',
  async (name, point) => {
    const scenario = { quick: rolledBackAt(point) }
    expect(await playWith(`rolled-back-${name.replaceAll(' ', '-')}`, [], [scenario], 20_000)).toEqual([])
  },
  60_000,
)
