/** The packages as their users install them: `npm run test:packages`. It installs from the registry of npm. */
import config from './jest.config.js'

export default {
  ...config,
  testMatch: ['**/dist/packages/from-tarballs.test.js'],
  testPathIgnorePatterns: ['/node_modules/'],
}
