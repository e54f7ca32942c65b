/** Derived fields, one event at a time. */
import { expect, test } from '@jest/globals'
import { type AcceptedEvent, derive, type EnrichContext, PermanentError } from './index.js'

const noContext = {} as EnrichContext

function eventOf<Data>(data: Data): AcceptedEvent<Data> {
  return { data } as AcceptedEvent<Data>
}

test('adds the computed fields, and a throw fails only its event', () => {
  const refused = new PermanentError('too little')
  const half = derive('half', ({ data }: AcceptedEvent<{ n: number }>) => {
    if (data.n === 0) throw refused
    if (data.n < 0) throw 'negative'
    return { half: data.n / 2 }
  })
  const additions = half.enrich(
    [4, 0, -1, 6].map((n) => eventOf({ n })),
    noContext,
  )
  expect(additions).toEqual([{ half: 2 }, refused, new Error('negative'), { half: 3 }])
})
