/** Prometheus, found or fetched: watches a pipeline on this machine, and tests the alerting rules. */
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type DebianPackage, fetchFromDebian } from './debian.js'
import { startOnPort } from './ports.js'
import { run } from './run.js'
import { type LocalServer, launch, type ServerProcess } from './server-process.js'
import { SetupError } from './setup-error.js'

const USUAL_PORT = 9090

const PROMETHEUS_PACKAGE: DebianPackage = {
  name: 'prometheus',
  commands: { prometheus: 'prometheus', promtool: 'promtool' },
}

/** The commands of a Prometheus: the server, and the tool that checks and tests rules. */
interface PrometheusCommands {
  prometheus: string
  promtool: string
}

/** Options of {@link startPrometheus}. */
interface PrometheusOptions {
  /** The file with the scrape targets and the rules. */
  configFile: string
  /** The folder for its data and its log. One process at a time may use it. */
  dir: string
  /** The required port, 0 for any. Without it: 9090, or one near it if that is taken. */
  port?: number | undefined
  /** Where a fetched Prometheus is kept. */
  cacheDir: string
  log: (line: string) => void
}

/** Finds Prometheus on the PATH or in `cacheDir`, or fetches it there from Debian's archive. */
export async function findPrometheus(cacheDir: string, log: (line: string) => void): Promise<PrometheusCommands> {
  const bin = join(resolve(cacheDir), 'bin')
  const cached = { prometheus: join(bin, 'prometheus'), promtool: join(bin, 'promtool') }
  for (const commands of [{ prometheus: 'prometheus', promtool: 'promtool' }, cached]) {
    const answers = await Promise.all(Object.values(commands).map((command) => run(command, ['--version'])))
    if (answers.every(({ ok }) => ok)) return commands
  }

  log('Prometheus is not installed: downloading it from the Debian archive (once, without root)')
  const problem = await fetchFromDebian(PROMETHEUS_PACKAGE, resolve(cacheDir))
  if (problem === undefined) return cached
  throw new SetupError(
    `Prometheus is not installed and could not be downloaded: ${problem}.\nInstall it: apt install prometheus  |  brew install prometheus`,
  )
}

/** Starts Prometheus on 127.0.0.1; resolves when it is ready for queries. */
export async function startPrometheus(options: PrometheusOptions): Promise<LocalServer> {
  const { dir, port, cacheDir, log } = options
  const { prometheus } = await findPrometheus(cacheDir, log)
  await mkdir(dir, { recursive: true })
  return startOnPort({ name: 'Prometheus', port, usual: USUAL_PORT, log }, (freePort) =>
    startServer(prometheus, freePort, options),
  )
}

async function startServer(
  command: string,
  port: number,
  { configFile, dir, log }: PrometheusOptions,
): Promise<LocalServer> {
  const url = `http://127.0.0.1:${port}`
  const server = launch({
    name: 'Prometheus',
    command,
    args: [
      ...[`--config.file=${configFile}`, `--storage.tsdb.path=${join(dir, 'data')}`],
      ...[`--web.listen-address=127.0.0.1:${port}`, '--storage.tsdb.retention.time=15d'],
    ],
    cwd: dir,
    logFile: join(dir, 'prometheus.log'),
    problem: (line) => /level=error .*/.exec(line)?.[0],
    log,
  })
  await server.until(answers(url, server))
  log(`Prometheus is ready on port ${port}, with its data in ${dir}`)
  return {
    url,
    port,
    dir,
    shell: `curl ${url}/api/v1/query --data-urlencode 'query=up'`,
    exited: server.exited,
    stop: () => server.stop('SIGTERM', 10_000, 'SIGKILL'),
    kill: () => server.kill('SIGKILL'),
  }
}

/** Waits until it has loaded its data, which may take a while. */
async function answers(url: string, server: ServerProcess): Promise<void> {
  let over = false
  server.exited.then(() => {
    over = true
  })
  for (const deadline = Date.now() + 60_000; !over; await delay(50)) {
    if (
      await fetch(`${url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return
    if (Date.now() > deadline) throw new SetupError(`Prometheus does not answer at ${url}`)
  }
}
