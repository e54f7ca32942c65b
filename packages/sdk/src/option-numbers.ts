/** Checks the numbers that a user gave to an enricher. */

/** Throws, naming the enricher and the option, unless each number is whole and not below `least`. */
export function requireWholeNumbers(enricher: string, options: Readonly<Record<string, number>>, least: number): void {
  for (const [option, value] of Object.entries(options)) {
    if (!Number.isInteger(value) || value < least) {
      throw new TypeError(`${enricher}: ${option} must be a whole number from ${least}, not ${value}`)
    }
  }
}
