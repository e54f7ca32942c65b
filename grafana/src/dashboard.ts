/** What all dashboards have in common: an address, links to the others, and one variable, the data source. */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel,
  RowBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard'

const TAG = 'eventflow'

/** A question, and the panels that answer it. */
export interface Row {
  title: string
  panels: readonly Builder<Panel>[]
}

/** Builds a dashboard; `name` is part of its address and the name of its file. */
export function dashboard(name: string, title: string, description: string, rows: readonly Row[]): Dashboard {
  const builder = new DashboardBuilder(title)
    .uid(`eventflow-${name}`)
    .description(description)
    .tags([TAG])
    .refresh('10s')
    .time({ from: 'now-30m', to: 'now' })
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .link(
      new DashboardLinkBuilder('EventFlow')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .keepTime(true)
        .includeVars(true),
    )
  for (const row of rows) {
    builder.withRow(new RowBuilder(row.title))
    for (const panel of row.panels) builder.withPanel(panel)
  }
  const built = builder.build()
  for (const link of built.links ?? []) delete link.placement // the SDK would put it into a menu
  built.panels?.forEach((panel, index) => {
    panel.id = index + 1
  })
  return built
}
