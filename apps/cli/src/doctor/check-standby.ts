/** Checks of the standby for reads. */
import { lookAtStandby, MAX_STANDBY_LAG_MS } from '@eventflow/db'
import { type Addresses, UnreachableError } from '../addresses.js'
import { askPostgres } from '../ask-postgres.js'
import { error, type Finding, findings, type Problem, warning } from './finding.js'
import { megabytes } from './host.js'

const CHECK = 'postgres standby'

/** Resolves with no finding if there is no standby. While one cannot be used, reads use the primary. */
export async function checkStandby({ postgres, standby }: Addresses): Promise<Finding[]> {
  if (standby === undefined) return []
  try {
    const { fault, replayedAfterMs, bytesBehind } = await askPostgres(postgres, (primary) =>
      askPostgres(standby, (replica) => lookAtStandby(primary, replica, MAX_STANDBY_LAG_MS)),
    )
    const seconds = MAX_STANDBY_LAG_MS / 1_000
    return findings(CHECK, `in recovery, less than ${((replayedAfterMs ?? 0) / 1_000).toFixed(1)} s behind`, [
      fault !== undefined
        ? error(
            `DATABASE_REPLICA_URL: ${fault}: ingest does not start with it`,
            'name a standby of the Postgres in DATABASE_URL, or unset DATABASE_REPLICA_URL',
          )
        : replayedAfterMs === undefined &&
          warning(
            `it is more than ${seconds} s and ${megabytes(bytesBehind)} behind, so reads use the primary`,
            'docs/operating.md, EventFlowStandbyBehind',
          ),
    ])
  } catch (problem) {
    if (!(problem instanceof UnreachableError)) throw problem
    return findings(CHECK, '', [away(problem)])
  }
}

function away({ message }: UnreachableError): Problem {
  return warning(
    `${message.split('\n')[0]}: reads use the primary`,
    'start the standby with hot_standby on, or correct DATABASE_REPLICA_URL',
  )
}
