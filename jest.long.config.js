/** What takes too long for each change: `npm run test:long`. What came of it is written into docs/test-long.md. */
import config from './jest.config.js'

export default {
  ...config,
  testMatch: ['**/dist/**/*.long.test.js'],
  testPathIgnorePatterns: ['/node_modules/'],
  testTimeout: 180_000,
  reporters: ['default', './tests/dist/long-report.js'],
}
