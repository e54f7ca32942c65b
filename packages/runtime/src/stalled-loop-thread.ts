/** The thread that ends its process when the event loop of the main thread is stuck. */
import { writeSync } from 'node:fs'
import { type Debugger, Session } from 'node:inspector'
import { workerData } from 'node:worker_threads'

const { beats, lookMs, looks, seconds, fields } = workerData as {
  beats: Int32Array
  lookMs: number
  looks: number
  seconds: number
  fields: object
}

/** How long to wait for the main thread's current position, in milliseconds. */
const ASK_MS = 2_000

let missed = 0
while (missed < looks) {
  const seen = Atomics.load(beats, 0)
  // Each beat ends the wait and resets the count of missed looks.
  missed = Atomics.wait(beats, 0, seen, lookMs) === 'timed-out' ? missed + 1 : 0
}
end(await whereItIs())

/** The call that blocks the main thread, from its debugger: V8 can interrupt running JavaScript for it. */
function whereItIs(): Promise<string | undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ASK_MS)
    try {
      const session = new Session()
      session.connectToMainThread()
      const urls = new Map<string, string>()
      session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url))
      session.on('Debugger.paused', ({ params }) => resolve(place(params.callFrames, urls)))
      session.post('Debugger.enable')
      session.post('Debugger.pause')
    } catch {
      resolve(undefined)
    }
  })
}

/** The first frame outside packages and Node: usually a function of a definition. */
function place(frames: readonly Debugger.CallFrame[], urls: ReadonlyMap<string, string>): string | undefined {
  const urlOf = ({ location }: Debugger.CallFrame) => urls.get(location.scriptId) ?? ''
  const frame = frames.find((one) => !/^$|^node:|\/node_modules\//.test(urlOf(one))) ?? frames[0]
  if (!frame) return undefined
  const { functionName, location } = frame
  const url = urlOf(frame)
  return `${functionName || 'a function'} (${url}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1})`
}

/** The main thread cannot write any more, so its last log line is written here. */
function end(where: string | undefined): never {
  const msg = `exiting: the event loop was blocked for ${seconds} s${where ? ` by ${where}` : ''}`
  const line = { level: 'fatal', time: new Date().toISOString(), ...fields, msg }
  writeSync(2, `${JSON.stringify(line)}\n`)
  process.kill(process.pid, 'SIGKILL')
  throw new Error('ended')
}
