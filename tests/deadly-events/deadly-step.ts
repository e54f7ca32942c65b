/** `deadly.step`: an event may kill its worker, or loop for ever. The others leave a row. */
import { defineEvent, Type } from '@eventflow/sdk'

function spinForEver(): void {
  for (let n = 0; ; n++) if (n < 0) return
}

export default defineEvent({
  type: 'deadly.step',
  schema: Type.Object({ n: Type.Integer(), mood: Type.Optional(Type.String()) }),
  enrich: [
    {
      name: 'moody',
      enrich: (events) => {
        if (events.some(({ data }) => data.mood === 'kill')) process.kill(process.pid, 'SIGKILL')
        return events.map(() => ({}))
      },
    },
  ],
  validate: ({ data }) => {
    if (data.mood === 'spin') spinForEver()
    return []
  },
  prepare: async (tx) => {
    await tx.query('CREATE TABLE IF NOT EXISTS deadly_effects (n integer NOT NULL)')
  },
  handle: async ({ data }, tx) => {
    await tx.query('INSERT INTO deadly_effects VALUES ($1)', [data.n])
  },
})
