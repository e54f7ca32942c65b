/** An event that `up` shows how to send: one that the pipeline's definitions know. */

/** A row of the sample. */
export const FLIGHT = {
  type: 'flight.completed',
  partitionkey: 'DTW',
  time: '2001-01-01T00:47:00Z',
  data: { date: '2001/01/01 00:47', delay: 66, distance: 1750, origin: 'DTW', destination: 'LAS' },
}

/** From the answer of `/v1/event-types`: the flight where the samples run or the types are not told, else the first type's example. */
export async function readExample(answer: Response): Promise<object> {
  try {
    const { items } = (await answer.json()) as { items: { type: string; example?: object }[] }
    if (items.some(({ type }) => type === FLIGHT.type)) return FLIGHT
    const { type, example = {} } = items.find((item) => item.example) ?? items[0]!
    return { type, data: example }
  } catch {
    return FLIGHT
  }
}
