/** `npm run scaling`: recomputes docs/scaling.md after a change of its figures. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recompute } from './scaling/recompute.js'

const file = join(import.meta.dirname, '../../docs/scaling.md')
writeFileSync(file, recompute(readFileSync(file, 'utf8')))
