/** What the joins of the fault tests emit: a type for each. No client sends them, and they have no effects. */
import { defineEvent, Type } from '@eventflow/sdk'

const id = Type.Union([Type.String(), Type.Null()])

const joins = ['joined-self', 'joined-left', 'joined-latest']

export default joins
  .flatMap((name) => [name, `${name}-again`])
  .map((name) =>
    defineEvent({
      type: `fault.${name}`,
      schema: Type.Object({ left: id, right: id, sum: Type.Integer() }),
    }),
  )
