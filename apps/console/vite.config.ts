/** From the sources of the console to the files that ingest serves. */
import { defineConfig } from 'vite'

export default defineConfig({
  base: './',
  build: { outDir: 'dist/site', target: 'es2023', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // For work on the console: npx vite apps/console, beside npm start.
  server: { proxy: { '/v1': 'http://127.0.0.1:8000' } },
})
