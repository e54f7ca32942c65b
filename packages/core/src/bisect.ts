/** Finds the items that make a batch fail, by halving it. */

/**
 * Runs `run` on all items; when it throws, on each half separately, down to single items. Calls `failed` for each
 * single item that throws. Items keep their order: a half is done before the next begins. An error for which
 * `concernsOneItem` is false says nothing about single items and is thrown to the caller at once.
 */
export async function bisect<Item>(
  items: readonly Item[],
  run: (items: readonly Item[]) => Promise<void>,
  failed: (item: Item, error: unknown) => Promise<void> | void,
  concernsOneItem: (error: unknown) => boolean,
): Promise<void> {
  if (items.length === 0) return
  try {
    await run(items)
  } catch (error) {
    if (!concernsOneItem(error)) throw error
    if (items.length === 1) return failed(items[0]!, error)
    const half = items.length >> 1
    await bisect(items.slice(0, half), run, failed, concernsOneItem)
    await bisect(items.slice(half), run, failed, concernsOneItem)
  }
}
