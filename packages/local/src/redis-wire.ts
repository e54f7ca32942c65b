/** One question to Redis over a plain socket: enough to see whether it is there. */
import { connect } from 'node:net'

/** The whole answer as it came (`+PONG…`, `-LOADING …`), or nothing when nobody answered within two seconds. */
export function ask(port: number, command: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect({ port, host: '127.0.0.1' })
    socket.setEncoding('utf8').setTimeout(2000, () => socket.destroy())
    socket.on('connect', () => socket.write(`${command}\r\nQUIT\r\n`)) // QUIT: the answer is complete when it closes
    socket.on('data', (text) => {
      answer += text
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer || undefined))
  })
}
