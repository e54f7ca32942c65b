/** A copy of what a release changes and packs. */
import { cp, mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readWorkspaces } from './workspaces.js'

/** Copies the published packages with what was built, the package.json of the others, the lock file and the changelog. */
export async function copyCheckout(root: string, copy: string): Promise<void> {
  for (const file of ['package-lock.json', 'CHANGELOG.md']) await cp(join(root, file), join(copy, file))
  for (const { path, json } of await readWorkspaces(root)) {
    await mkdir(join(copy, path), { recursive: true })
    if (json.private) await cp(join(root, path, 'package.json'), join(copy, path, 'package.json'))
    else {
      const filter = (source: string) => basename(source) !== 'node_modules'
      await cp(join(root, path), join(copy, path), { recursive: true, filter })
    }
  }
}
