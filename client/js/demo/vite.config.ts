import { defineConfig } from 'vite'

// What comes out is committed and embedded in the server: rest/demo serves it.
export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  esbuild: { jsx: 'automatic' },
  build: {
    outDir: process.env.PARLEY_DEMO_OUT ?? '../../../rest/demo/dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
