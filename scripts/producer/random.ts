/** Repeatable randomness: the same seed gives the same numbers. */

/** Numbers in [0, 1) from a 32-bit seed (mulberry32 by T. Ettinger, public domain). */
export function createRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Draws from 0 to `size` - 1 by Zipf's law: the n-th number comes up in proportion to 1 / n^exponent. Exponent 0 is
 * uniform; at 1 the first of 10,000 makes up a tenth of all.
 */
export function createZipf(size: number, exponent: number, random: () => number): () => number {
  const upTo = new Float64Array(size)
  let total = 0
  for (let n = 0; n < size; n++) upTo[n] = total += 1 / (n + 1) ** exponent
  return () => {
    const drawn = random() * total
    let [low, high] = [0, size - 1]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (upTo[middle]! > drawn) high = middle
      else low = middle + 1
    }
    return low
  }
}
