/** The package.json of a new project. */

/** What a project needs besides EventFlow. The same versions as in the repository: a test compares them. */
const THIRD_PARTIES = { '@types/node': '^20.19.43', tsx: '^4.23.15', typescript: '^7.0.2' }

const UP = 'up --events src/events'

/**
 * Its text. `tarballs` has the files to install EventFlow's packages from, by their names; without them they come from the
 * registry, in the version of this release.
 */
export function packageJson(name: string, version: string, tarballs: ReadonlyMap<string, string> | undefined): string {
  const ours = (names: string[]) =>
    Object.fromEntries(names.map((one) => [one, tarballs ? `file:${tarballs.get(one)}` : version]))
  const direct = ['@eventflow/sdk', 'eventflow']
  const forTests = ['@eventflow/testing']
  const others = [...(tarballs?.keys() ?? [])].filter((one) => ![...direct, ...forTests].includes(one))
  const content = {
    name,
    version: '0.1.0',
    private: true,
    type: 'module',
    engines: { node: '>=20.19' },
    scripts: {
      start: `eventflow ${UP}`,
      'start:docker': `docker compose up --detach --wait && node --env-file=.env node_modules/eventflow/eventflow.js ${UP}`,
      test: 'tsc && node --import tsx --test src/events/*.test.ts',
    },
    dependencies: ours(direct),
    devDependencies: { ...ours(forTests), ...THIRD_PARTIES },
    // The packages that those above depend on, which npm would look for in the registry.
    ...(others.length > 0 && { overrides: ours(others) }),
  }
  return `${JSON.stringify(content, null, 2)}\n`
}
