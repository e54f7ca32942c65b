/** Brands objects that a function of this product made, so that others are told apart from them. */

/**
 * Freezes an object and gives it a brand that copies of it lack. `brand` is a registered symbol (`Symbol.for`), because
 * the object may come from another copy of the module that made it.
 */
export function branded<Value extends object>(brand: symbol, value: Value): Value {
  return Object.freeze(Object.defineProperty(value, brand, { value: true }))
}

/** Whether a value has this brand. Never throws, for any value. */
export function hasBrand(brand: symbol, value: unknown): boolean {
  try {
    return typeof value === 'object' && value !== null && brand in value
  } catch {
    return false // a proxy that throws
  }
}
