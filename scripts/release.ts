/** `npm run release`: gives all packages the next version and packs them. It publishes nothing. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { copyCheckout } from './release/copy-checkout.js'
import { pack } from './release/pack.js'
import { nextVersion, setVersion } from './release/version.js'
import { readWorkspaces } from './release/workspaces.js'

const ROOT = join(import.meta.dirname, '../..')

const program = new Command('npm run release --')
  .description('Give all packages the next version and pack them. Publishes nothing.')
  .addOption(
    new Option('--bump <part>', 'which part of the version goes up')
      .choices(['patch', 'minor', 'major'])
      .default('minor'),
  )
  .option('--to <version>', 'the next version, in place of --bump')
  .option('--out <folder>', 'where the tarballs go', 'dist-packages')
  .option('--dry-run', 'set the version in a copy, and leave the checkout as it is')
  .parse()
const { bump, to, out, dryRun } = program.opts()

try {
  if (!dryRun) checkClean()
  const copy = dryRun ? await mkdtemp(join(tmpdir(), 'eventflow-release-')) : undefined
  try {
    if (copy) await copyCheckout(ROOT, copy)
    const root = copy ?? ROOT
    const workspaces = await readWorkspaces(root)
    const version = to ?? nextVersion(workspaces[0]!.json.version, bump)
    await setVersion(root, version, new Date())
    const tarballs = await pack(root, version, resolve(ROOT, out))
    for (const { file, bytes } of tarballs)
      console.log(`${relative(process.cwd(), file)}  ${Math.ceil(bytes / 1024)} KiB`)
    console.log(copy ? `\nDry run of ${version}: the checkout is as it was.` : nextSteps(version))
  } finally {
    if (copy) await rm(copy, { recursive: true, force: true })
  }
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}

function checkClean(): void {
  const changes = execFileSync('git', ['status', '--porcelain'], { cwd: ROOT, encoding: 'utf8' })
  if (changes !== '') throw new Error(`commit or stash your changes first:\n${changes.trimEnd()}`)
}

function nextSteps(version: string): string {
  return `
Packed ${version}. Look at \`git diff\`, then:

  git commit -am 'Release ${version}' && git tag v${version}
  for tarball in ${out}/*-${version}.tgz; do npm publish --access public "$tarball"; done`
}
