import { defineConfig } from 'vite'

/** What the encryption would load for other cipher suites than the one in use, or in Node. */
const unused = /^(@noble\/post-quantum\/.*|@noble\/ciphers\/chacha\.js|@noble\/curves\/(ed448|nist)\.js|@hpke\/(chacha20poly1305|dhkem-x448|hybridkem-x-wing|ml-kem)|crypto)$/

/** The encryption is one file, which is loaded after the page is shown; what both need is in another. */
function chunkOf(id: string): string | undefined {
  if (/\/(ts-mls|@hpke|@noble|src\/mls)\/|\/demo\/(mls|none)\.ts/.test(id)) return 'mls'
  return /\/client\/js\/src\/|vite\/preload-helper/.test(id) ? 'client' : undefined
}

// What comes out is committed and embedded in the server: rest/demo serves it.
export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  esbuild: { jsx: 'automatic' },
  resolve: { alias: [{ find: unused, replacement: `${import.meta.dirname}/none.ts` }] },
  build: {
    outDir: process.env.PARLEY_DEMO_OUT ?? '../../../rest/demo/dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { output: { manualChunks: chunkOf } },
  },
})
