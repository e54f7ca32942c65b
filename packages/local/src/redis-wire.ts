/** Sends one command to Redis over a plain socket: enough to check that it answers. */
import { connect } from 'node:net'

/**
 * The raw answer (`+PONG…`, `-LOADING …`), or `undefined` without an answer within two seconds. The reply to the
 * password is left out: a Redis without a password answers AUTH with an error, and then answers the command.
 */
export function ask(port: number, password: string, command: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect({ port, host: '127.0.0.1' })
    socket.setEncoding('utf8').setTimeout(2000, () => socket.destroy())
    // QUIT: the answer is complete when the connection closes
    socket.on('connect', () => socket.write(`AUTH ${password}\r\n${command}\r\nQUIT\r\n`))
    socket.on('data', (text) => {
      answer += text
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer.slice(answer.indexOf('\n') + 1) || undefined))
  })
}
