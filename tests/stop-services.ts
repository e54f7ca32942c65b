/** After the tests. */
export default async function stop(): Promise<void> {
  await globalThis.eventflowServices?.stop()
}
