/** Tests run as they were compiled: what is tested is what is shipped. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/packages', '<rootDir>/apps', '<rootDir>/grafana', '<rootDir>/scripts', '<rootDir>/tests'],
  testMatch: ['**/dist/**/*.test.js'],
  // Those are for jest.long.config.js and jest.packages.config.js.
  testPathIgnorePatterns: ['/node_modules/', '\\.long\\.test\\.js$', '/from-tarballs\\.test\\.js$'],
  // Nothing is compiled again: Babel would only take its time over it.
  transform: {},
  globalSetup: './tests/dist/start-services.js',
  globalTeardown: './tests/dist/stop-services.js',
  testTimeout: 30_000,
  maxWorkers: 2,
  // The modules of each test file stay in memory. A worker that has many is replaced, before collecting garbage slows it down.
  workerIdleMemoryLimit: '800MB',
  testSequencer: './tests/sequencer.mjs',
  // Node takes over half a second to free what it has loaded for so many test files, after everything is closed. A worker that
  // has something open never ends, and is told of all the same.
  workerGracefulExitTimeout: 30_000,
}
