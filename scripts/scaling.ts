/** `npm run scaling`: works out docs/scaling.md again, after a figure that it rests on has changed. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recompute } from './scaling/recompute.js'

const file = join(import.meta.dirname, '../../docs/scaling.md')
writeFileSync(file, recompute(readFileSync(file, 'utf8')))
