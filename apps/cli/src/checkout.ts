/** Whether this command line runs from a checkout of EventFlow, which has more than what is published. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** The root of the checkout, if it is one. */
export const CHECKOUT = join(import.meta.dirname, '../../..')

/** Whether the scripts of the repository are there. */
export const isCheckout = () => existsSync(join(CHECKOUT, 'scripts', 'producer.ts'))
