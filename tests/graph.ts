/** `npm run graph`: prints the imports between the packages, and between the chapters of packages that have some. */
import { CHAPTERED, chapterGraph } from './architecture/chapters.js'
import { graphText, packageGraph } from './architecture/graph.js'
import { readWorkspaces } from './architecture/sources.js'

const workspaces = readWorkspaces()
const sources = workspaces.flatMap((workspace) => workspace.sources)
console.log(`packages, apps and programs\n\n${graphText(packageGraph(workspaces))}`)
for (const name of CHAPTERED) console.log(`\n${name}\n\n${graphText(chapterGraph(name, sources))}`)
