/** A problem of the pipeline, as the console shows it. */

/**
 * Pages take their colours from the problems, and all is well only if there is none. Every alert that Prometheus or `apps/alerts` raises by default is also a problem here, immediately and
 * at the same level.
 */
export interface Trouble {
  /**
   * `bad`: nothing progresses, or soon nothing will. `warn`: something waits, fails or misses the objective. `info`: it
   * is being handled, or can wait. They correspond to the alerts' `critical`, `warning` and `info`.
   */
  level: 'bad' | 'warn' | 'info'
  text: string
  /** The figure that shows the problem. */
  figure?: 'in' | 'oldest' | 'failed' | 'dead' | 'owner'
  /** The object of the problem, for links. */
  about?: { partition?: number; key?: string; event?: string; worker?: string; group?: string; page?: string }
}
