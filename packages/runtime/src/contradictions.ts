/** Settings that are valid separately, but not together. */

/** Returns a line for each contradiction among these settings. */
export function contradictionsIn(config: Record<string, unknown>): string[] {
  return [...timeoutsIn(config), ...windowsIn(config)]
}

function windowsIn(config: Record<string, unknown>): string[] {
  const { EVENTFLOW_DEDUPLICATION_DAYS: known, EVENTFLOW_RETENTION_SETTLED_DAYS: kept } = config
  if (!known || (kept !== 0 && Number(known) >= Number(kept))) return []
  const why =
    kept === 0
      ? 'events are kept forever (EVENTFLOW_RETENTION_SETTLED_DAYS is 0)'
      : `events are kept for ${kept} (EVENTFLOW_RETENTION_SETTLED_DAYS)`
  return [`EVENTFLOW_DEDUPLICATION_DAYS is ${known}, but ${why}: an id is known at least as long as its event is kept`]
}

function timeoutsIn(config: Record<string, unknown>): string[] {
  const { EVENTFLOW_HANDLER_TIMEOUT_SECONDS: handler, EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS: transaction } = config
  if (Number(handler) <= Number(transaction) || transaction === undefined) return []
  return [
    `EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS is ${transaction}, less than EVENTFLOW_HANDLER_TIMEOUT_SECONDS (${handler}): one call must fit into its transaction`,
  ]
}
