/** The kinds of panels on the dashboards. */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  MappingType,
  type Panel,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMap,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as StateTimelineBuilder } from '@grafana/grafana-foundation-sdk/statetimeline'
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as TimeSeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'

/** Chosen at the top of a dashboard: any Prometheus that scrapes the pipeline. */
const DATASOURCE = { type: 'prometheus', uid: '$datasource' }

/** The title and size of a panel, and its explanation. */
interface Caption {
  title: string
  /** What a newcomer has to know. */
  description: string
  /** Of 24 columns. */
  width: number
}

/** An expression, and the name of each resulting series. */
export interface Query {
  expr: string
  legend: string
}

/** A limit, and the colour of what is at or above it. */
type Limit = [value: number, color: 'yellow' | 'red']

/** Lines over time, with `limits` drawn if they are given. */
export function graph(
  { title, description, width }: Caption,
  { unit, queries, limits = [] }: { unit: string; queries: readonly Query[]; limits?: readonly Limit[] },
): Builder<Panel> {
  const panel = new TimeSeriesBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .span(width)
    .height(8)
    .unit(unit)
    .min(0)
    .lineWidth(1)
    .fillOpacity(8)
    .showPoints(VisibilityMode.Never)
    .legend(legend().calcs(['lastNotNull', 'max']))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .targets(queries.map((query, index) => target(query, index).range()))
  if (limits.length === 0) return panel
  return panel
    .thresholds(thresholds(limits))
    .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed))
}

/** One number, coloured by its limits, or by its state. */
export function figure(
  { title, description, width }: Caption,
  { unit, expr, limits = [], states }: { unit: string; expr: string; limits?: readonly Limit[]; states?: States },
): Builder<Panel> {
  const panel = new StatBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .span(width)
    .height(4)
    .unit(unit)
    .thresholds(thresholds(limits))
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .withTarget(target({ expr, legend: title }, 0).range())
  return states ? panel.mappings([mapping(states)]) : panel
}

/** The meaning of the values 0, 1, 2 …, each with its colour. */
type States = readonly { text: string; color: string }[]

/** One bar for each series, coloured by its state: `states[value]`. */
export function timeline(
  { title, description, width }: Caption,
  { query, states, height }: { query: Query; states: States; height: number },
): Builder<Panel> {
  return new StateTimelineBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .span(width)
    .height(height)
    .mappings([mapping(states)])
    .rowHeight(0.8)
    .lineWidth(0)
    .legend(legend())
    .withTarget(target(query, 0).range())
}

/** A column with one value for each row. */
export interface Column {
  header: string
  expr: string
  unit?: string
}

/** The present values, one row for each set of labels; `labels` are the columns before the values, with headers. */
export function table(
  { title, description, width }: Caption,
  options: { labels: Record<string, string>; columns: readonly Column[]; height: number; empty?: string },
): Builder<Panel> {
  const { labels, columns, height, empty = '-' } = options
  const names = columns.length === 1 ? ['Value'] : columns.map((_, index) => `Value #${refId(index)}`)
  const headers = columns.map(({ header }, index) => [names[index]!, header] as const)
  const panel = new TableBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .span(width)
    .height(height)
    .noValue(empty)
    .targets(
      columns.map(({ expr, header }, index) =>
        target({ expr, legend: header }, index).instant().format(PromQueryFormat.Table),
      ),
    )
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: { Time: true },
        indexByName: Object.fromEntries([...Object.keys(labels), ...names].map((name, index) => [name, index])),
        renameByName: { ...labels, ...Object.fromEntries(headers) },
      },
    })
  for (const { header, unit } of columns) if (unit) panel.overrideByName(header, [{ id: 'unit', value: unit }])
  return panel
}

/** p50, p95 and p99 of a histogram, from the recording rules. */
export function quantiles(metric: string): Query[] {
  return ['0.5', '0.95', '0.99'].map((quantile) => ({
    expr: `eventflow:${metric}:quantile1m{quantile="${quantile}"}`,
    legend: `p${Number(quantile) * 100}`,
  }))
}

function mapping(states: States): ValueMap {
  const options = Object.fromEntries(states.map((state, index) => [`${index}`, { ...state, index }]))
  return { type: MappingType.ValueToText, options }
}

function target({ expr, legend }: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder().refId(refId(index)).expr(expr).legendFormat(legend)
}

function refId(index: number): string {
  return String.fromCharCode('A'.charCodeAt(0) + index)
}

function legend(): VizLegendOptionsBuilder {
  return new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(LegendDisplayMode.List)
    .placement(LegendPlacement.Bottom)
}

/** The lowest step has no value in Grafana's model: it covers everything below the first limit. */
function thresholds(limits: readonly Limit[]): ThresholdsConfigBuilder {
  const base: Threshold = { value: null, color: 'green' }
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps([base, ...limits.map(([value, color]) => ({ value, color }))])
}
