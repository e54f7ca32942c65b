/** After the tests: stops them. */
export default async function stop(): Promise<void> {
  await globalThis.eventflowServices?.stop()
}
