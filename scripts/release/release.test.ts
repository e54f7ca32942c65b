/** Versions, and what is refused to be packed. */
import { expect, test } from '@jest/globals'
import { problemsOf } from './problems.js'
import { nextVersion, released } from './version.js'

test.each([
  ['patch', '1.2.4'],
  ['minor', '1.3.0'],
  ['major', '2.0.0'],
] as const)('the next %s of 1.2.3 is %s', (part, next) => {
  expect(nextVersion('1.2.3', part)).toBe(next)
})

test('what was unreleased becomes the chapter of the version', () => {
  const changelog = '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A line.\n'
  expect(released(changelog, '0.2.0', new Date('2026-11-29T22:00:00Z'))).toBe(
    '# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-29\n\n### Added\n\n- A line.\n',
  )
  expect(() => released('# Changelog\n', '0.2.0', new Date())).toThrow('no chapter [Unreleased]')
})

const json = {
  ...{ name: '@eventflow/a', version: '0.2.0', description: 'A.', license: 'MIT', repository: {}, engines: {} },
  ...{ files: ['dist'], exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } } },
  dependencies: { '@eventflow/b': '0.2.0', undici: '^7.0.0' },
}
const files = [
  'LICENSE',
  'README.md',
  'package.json',
  'dist/index.js',
  'dist/index.d.ts',
  'templates/app/src/a.test.ts',
]
const release = { version: '0.2.0', names: ['@eventflow/a', '@eventflow/b'] }

test('a package that has all it needs is packed', () => {
  expect(problemsOf(json, files, release)).toEqual([])
})

test.each([
  [
    'a file that is named is not packed',
    json,
    files.filter((file) => file !== 'dist/index.d.ts'),
    'names dist/index.d.ts',
  ],
  ['there is no licence', json, files.slice(1), 'lacks LICENSE'],
  ['a test is packed', json, [...files, 'dist/a.test.js'], 'has dist/a.test.js'],
  ['a record of the build is packed', json, [...files, 'dist/.tsbuildinfo'], 'has dist/.tsbuildinfo'],
  ['a dependency is a path', { ...json, dependencies: { '@eventflow/b': 'file:../b' } }, files, 'by file:../b'],
  ['one of ours is a range', { ...json, dependencies: { '@eventflow/b': '^0.2.0' } }, files, 'not 0.2.0'],
  ['one of ours is private', { ...json, dependencies: { '@eventflow/testkit': '0.2.0' } }, files, 'not published'],
  ['the version is another', { ...json, version: '0.1.0' }, files, 'has version 0.1.0'],
])('refused where %s', (_, changed, packed, problem) => {
  expect(problemsOf(changed, packed, release)).toEqual([expect.stringContaining(problem)])
})

test('refused where a field is missing', () => {
  const { repository: _, ...without } = json
  expect(problemsOf(without, files, release)).toEqual(['package.json lacks repository'])
})
