/** Shared parts of the charts: text, colours in light and dark, figures. */

/** The colours of the series: light, dark. */
const COLOURS: Record<string, [string, string]> = {
  limits: ['#afb8c1', '#57606a'],
  naive: ['#d4872c', '#d4872c'],
  eventflow: ['#1f6feb', '#4493f8'],
  features: ['#79a8f0', '#2f5e9e'],
  peers: ['#8250df', '#a371f7'],
  postgres: ['#1f6feb', '#4493f8'],
  redis: ['#cf222e', '#f85149'],
  ingest: ['#1a7f37', '#3fb950'],
  worker: ['#8250df', '#a371f7'],
  generator: ['#afb8c1', '#6e7681'],
}

const colours = (scheme: 0 | 1) =>
  Object.entries(COLOURS)
    .map(([name, shades]) => `.${name} { fill: ${shades[scheme]}; stroke: ${shades[scheme]} }`)
    .join('\n  ')

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; stroke: none }
  .title { font-size: 16px; font-weight: 600 }
  .note { fill: #59636e; font-size: 12px }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  polyline { fill: none !important; stroke-width: 2 }
  ${colours(0)}
  @media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9198a1 }
  .spread { stroke: #e6edf3 }
  .grid { stroke: #3d444d }
  ${colours(1)}
  }`

/** A complete drawing. */
export function svg(title: string, width: number, height: number, content: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
  <title>${escaped(title)}</title>
  <style>${STYLE}
  </style>${content}
</svg>
`
}

/** A coordinate. */
export function fixed(value: number): string {
  return value.toFixed(1)
}

/** Escapes text for use between tags. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
