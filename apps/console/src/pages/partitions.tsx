/** The partitions with their owners and lags, and the blocked keys. */
import type { Moment, Trouble, WaitingKey } from '../answers.js'
import { ago, count, duration } from '../format.js'
import { levelOf, lost, moment } from '../live.js'
import { SkipButton } from '../parts/actions.js'
import { Heading, Nothing, Problem, Same, Stale } from '../parts/basics.js'
import { ACTIONS, Clamped, number, Table } from '../parts/table.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'

const LOOK_MS = 2_000

export function PartitionsPage() {
  const now = moment.value
  return (
    <>
      <Heading>Partitions and keys</Heading>
      <WaitingKeys />
      <Stale />
      {now ? (
        <Partitions partitions={now.partitions} level={levelOf(now.troubles, 'owner')} />
      ) : (
        <Nothing>{lost.value || 'Waiting for the first second…'}</Nothing>
      )}
      <Same sql={SQL} cli="eventflow lag" http="/v1/waiting" />
    </>
  )
}

function WaitingKeys() {
  const { answer, error, again } = useGet<{ items: WaitingKey[] }>('v1/waiting', LOOK_MS)
  const items = answer?.items ?? []
  return (
    <section>
      <h2>Keys that wait</h2>
      <Problem error={error} />
      {answer && items.length === 0 && <Nothing>No key waits for another attempt.</Nothing>}
      {items.length > 0 && (
        <Table
          label="Keys that wait"
          columns={['Key', number('Waits for'), number('Behind it'), 'Next attempt', 'Why', ACTIONS]}
        >
          {items.map((head) => (
            <tr key={head.id}>
              <th scope="row" class="cut" title={head.partitionkey}>
                <a href={href(['events', head.id])}>
                  {head.partitionkey === head.id ? 'an event of its own' : head.partitionkey}
                </a>
                <small>
                  {head.type}, partition {head.partition}
                </small>
              </th>
              <td class="number">{duration(Math.round((Date.now() - Date.parse(head.waiting_since)) / 1_000))}</td>
              <td class="number">{count(head.behind)}</td>
              <td>
                {Date.parse(head.retry_at) > Date.now() ? ago(head.retry_at) : 'under way'}
                <small>
                  {head.attempts === 0
                    ? 'not tried yet'
                    : `${head.attempts} ${head.attempts === 1 ? 'attempt' : 'attempts'} failed`}
                </small>
              </td>
              <td class="wide">{head.message ? <Clamped text={head.message} /> : '–'}</td>
              <td>
                <SkipButton id={head.id} done={again} label="Skip…" />
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  )
}

function Partitions({ partitions, level }: Pick<Moment, 'partitions'> & { level: Trouble['level'] | undefined }) {
  return (
    <section>
      <h2>Partitions</h2>
      <Table
        label="Partitions"
        columns={[
          number('Partition'),
          'Owner',
          number('Epoch'),
          'Works from',
          number('To deliver'),
          number('In hand'),
          number('Unsettled'),
          number('Retrying'),
          number('Oldest'),
        ]}
      >
        {partitions.map((p) => (
          <tr key={p.partition}>
            <th scope="row" class="number">
              {p.partition}
            </th>
            <td class="cut" title={p.owner ?? ''}>
              {p.owner ?? <span class={level ?? ''}>none</span>}
            </td>
            <td class="number">{count(p.epoch)}</td>
            <td>{p.source === 'stream' ? 'its stream' : <span class="badge retrying">Postgres</span>}</td>
            <td class="number">{count(p.lag)}</td>
            <td class="number">{count(p.pending)}</td>
            <td class="number">{count(p.unsettled)}</td>
            <td class="number">{count(p.retrying)}</td>
            <td class="number">{p.oldestUnsettledAgeSeconds > 0 ? duration(p.oldestUnsettledAgeSeconds) : '–'}</td>
          </tr>
        ))}
      </Table>
    </section>
  )
}

const SQL = `SELECT id, owner, epoch, lease_expires_at > now() AS held, settled_seq, dirty
FROM partitions JOIN partition_marks USING (id) ORDER BY id;

SELECT r.type, r.key, r.partition, w.attempts, w.due_at, w.history->-1->>'message' AS why
FROM retries w JOIN raw_events r USING (tenant_id, event_id) ORDER BY r.seq;`
