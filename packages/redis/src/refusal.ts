/** Error replies of Redis. */

/** Whether Redis replied with an error: it is reachable but refused the command. */
export const isRefusal = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError'
