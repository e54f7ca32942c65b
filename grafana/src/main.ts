/** Writes the dashboards in Grafana's format: `npm run dashboards`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dashboardFiles } from './dashboards.js'

for (const [file, text] of dashboardFiles()) writeFileSync(join(import.meta.dirname, '../dashboards', file), text)
