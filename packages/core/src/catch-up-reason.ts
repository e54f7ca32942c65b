/** Why a partition's events are read from Postgres instead of its stream. */
export const CATCH_UP_REASONS = [
  'first start',
  'dirty',
  'redis restarted',
  'stream lost',
  'interrupted',
  'behind',
  'redis away',
  'unpublished',
] as const
export type CatchUpReason = (typeof CATCH_UP_REASONS)[number]
