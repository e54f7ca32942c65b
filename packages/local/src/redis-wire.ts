/** One question to Redis over a plain socket: enough to see whether it is there. */
import { connect } from 'node:net'

/**
 * The whole answer as it came (`+PONG…`, `-LOADING …`), or nothing without an answer within two seconds. The answer to the
 * password is left out: a Redis that needs none answers it with an error, and then answers the command.
 */
export function ask(port: number, password: string, command: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect({ port, host: '127.0.0.1' })
    socket.setEncoding('utf8').setTimeout(2000, () => socket.destroy())
    // QUIT: the answer is complete when it closes
    socket.on('connect', () => socket.write(`AUTH ${password}\r\n${command}\r\nQUIT\r\n`))
    socket.on('data', (text) => {
      answer += text
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer.slice(answer.indexOf('\n') + 1) || undefined))
  })
}
