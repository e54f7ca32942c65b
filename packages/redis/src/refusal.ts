/** Errors that Redis answered. */

/** Whether Redis answered with an error: it is there, and refuses what it was asked. */
export const isRefusal = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError'
