/** Numbers and durations in sentences, in the format of the console. */

/** 12,345. */
export const count = (value: number) => value.toLocaleString('en')

/** 1 partition is, 2 partitions are. */
export const countOf = (count: number, what: string) => `${count} ${what}${count === 1 ? ' is' : 's are'}`

/** Some of the items, and how many more there are. */
export const listOf = (items: readonly (string | number)[]) =>
  items.length > 8 ? `${items.slice(0, 8).join(', ')} and ${items.length - 8} more` : items.join(', ')

/** 42 s, 7 min, 3 h, 2 d. */
export function inWords(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}
