/** The console in a real browser: `npm run test:browser`, on a machine that has Chromium. */
import config from './jest.config.js'

export default { ...config, testMatch: ['**/dist/browser/*.browser.js'], testTimeout: 60_000 }
