import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { build } from 'vite'
import { expect, test } from 'vitest'
import { Client } from '../src/index.js'
import { useClient, useThread } from '../src/react.js'

const root = new URL('..', import.meta.url).pathname

test('the generated types are those of the documents', () => {
  execFileSync('node', ['scripts/generate.mjs', '--check'], { cwd: root, stdio: 'pipe' })
})

test('the whole client is at most 25 KB gzipped, without MQTT.js', async () => {
  const entry = 'virtual:all'
  const result = await build({
    root, configFile: false, logLevel: 'silent',
    plugins: [{
      name: 'all',
      resolveId: (id) => (id === entry ? id : undefined),
      load: (id) => (id === entry ? ['index', 'mqtt', 'indexeddb', 'react'].map((m) => `export * from '${root}src/${m}.ts'`).join('\n') : undefined),
    }],
    build: { write: false, minify: 'esbuild', target: 'es2022', rollupOptions: { input: entry, external: ['react', 'mqtt'], preserveEntrySignatures: 'strict' } },
  })
  const { output } = (Array.isArray(result) ? result[0] : result) as { output: { code?: string }[] }
  const size = gzipSync(output.map((chunk) => chunk.code ?? '').join('')).length
  console.log(`@parleyhq/client: ${(size / 1000).toFixed(1)} KB gzipped`)
  expect(size).toBeLessThan(25_000)
  expect(size).toBeGreaterThan(5_000)
})

test('the hooks show a client', () => {
  const client = new Client({ url: 'http://127.0.0.1:1', userId: 'ann', deviceId: 'd', token: () => '' })
  const Page = () => createElement('p', null, useClient(client).state, useThread(client, 'a thread').messages.length)
  expect(renderToString(createElement(Page))).toContain('stopped')
})
