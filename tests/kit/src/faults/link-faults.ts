/** Faults of the connections of one process, or of all, to one of the servers. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../random.js'
import type { FaultKind } from './fault.js'
import type { LinkMode } from './link.js'
import type { Stack } from './stack.js'

function onLink(
  what: string,
  server: 'postgres' | 'redis',
  modeOf: (random: Random) => LinkMode,
  ms: [number, number],
) {
  const kind: FaultKind = (stack, random) => {
    const { victim, names } = chooseLinks(stack, server, random)
    const mode = modeOf(random)
    const lastsMs = random.between(...ms)
    return {
      name: `${server}: ${what}`,
      victim,
      takes: names,
      async run() {
        const links = names.map((name) => stack.links.get(name)!)
        for (const link of links) {
          link.mode = mode
          if (mode.kind === 'refuse') link.reset()
        }
        await delay(lastsMs)
        for (const link of links) link.mode = { kind: 'pass' }
      },
    }
  }
  return kind
}

function chooseLinks({ links }: Stack, server: string, random: Random): { victim: string; names: string[] } {
  const names = [...links.keys()].filter((name) => name.endsWith(` ${server}`))
  if (random.next() < 0.25) return { victim: 'all', names }
  const name = random.pick(names)
  return { victim: name.replace(` ${server}`, ''), names: [name] }
}

const CUTS = ['before the request', 'before the reply', 'after the reply'] as const
const cuts = (['postgres', 'redis'] as const).flatMap((server) =>
  CUTS.map((when) => onLink(`connection cut ${when}`, server, () => ({ kind: 'cut', when }), [100, 1_000])),
)

export const linkFaults: readonly FaultKind[] = [
  ...cuts,
  onLink(
    'answer to a COMMIT lost',
    'postgres',
    () => ({ kind: 'lose answer', text: 'COMMIT', after: 'fence' }),
    [1_000, 2_000],
  ),
  onLink(
    `answer to a group's COMMIT lost`,
    'postgres',
    () => ({ kind: 'lose answer', text: 'COMMIT', after: 'move-cursors' }),
    [1_000, 2_000],
  ),
  onLink('answer to an INSERT lost', 'postgres', () => ({ kind: 'lose answer', text: 'insert-raw' }), [1_000, 2_000]),
  ...(['postgres', 'redis'] as const).flatMap((server) => [
    onLink('unreachable', server, () => ({ kind: 'refuse' }), [500, 6_000]),
    onLink('half-open connections', server, () => ({ kind: 'swallow' }), [500, 4_000]),
    onLink('latency', server, (random) => ({ kind: 'slow', ms: random.between(20, 300) }), [1_000, 5_000]),
    onLink('trickle', server, () => ({ kind: 'trickle', bytes: 200, ms: 2 }), [1_000, 3_000]),
  ]),
]
