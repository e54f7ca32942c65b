/** Checks the numbers in a user's options for an enricher. */

/** Throws, naming the enricher and the option, unless each number is an integer of at least `least`. */
export function requireWholeNumbers(enricher: string, options: Readonly<Record<string, number>>, least: number): void {
  for (const [option, value] of Object.entries(options)) {
    if (!Number.isInteger(value) || value < least) {
      throw new TypeError(`${enricher}: ${option} must be a whole number from ${least}, not ${value}`)
    }
  }
}
