// The web example in Chromium, behind the example proxy and with the example token endpoint.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium, type Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { build } from 'vite'
import { patience, secret, Server, until } from './server.js'

const found = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => spawnSync(path, ['--version']).status === 0)
const caddy = spawnSync('caddy', ['version']).status === 0
const examples = join(import.meta.dirname, '../../../examples')
const dir = mkdtempSync(join(tmpdir(), 'parley-example-'))
const server = new Server()
const programs: ChildProcess[] = []
let browser: Browser
let url: string

function run(command: string, args: string[], env: Record<string, string>): ChildProcess {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] })
  programs.push(child)
  return child
}

const freePort = () =>
  new Promise<number>((resolve) => {
    const taken = createServer().listen(0, '127.0.0.1', () => {
      const { port } = taken.address() as { port: number }
      taken.close(() => resolve(port))
    })
  })

beforeAll(async () => {
  if (!found || !caddy) return
  await server.start()
  const client = join(import.meta.dirname, '../src')
  await build({
    root: join(examples, 'web'), logLevel: 'error', configFile: false, build: { outDir: join(dir, 'dist'), target: 'es2022' },
    resolve: { alias: [{ find: '@parleyhq/client/indexeddb', replacement: `${client}/indexeddb.ts` }, { find: '@parleyhq/client', replacement: `${client}/index.ts` }] },
  })
  const endpoint = run('node', [join(examples, 'token/token.mjs')], { PARLEY_JWT_SECRET: secret, PORT: '0' })
  const tokens = await new Promise<string>((resolve) => createInterface(endpoint.stdout!).on('line', (line) => resolve(/\d+/.exec(line)![0])))
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  const config = readFileSync(join(examples, 'proxy/Caddyfile'), 'utf8')
    .replace(':8000 {', `${url} {`).replace('127.0.0.1:8080', `127.0.0.1:${server.port}`).replace('127.0.0.1:3000', `127.0.0.1:${tokens}`)
    .replace('web/dist', join(dir, 'dist'))
  writeFileSync(join(dir, 'Caddyfile'), `{\n\tadmin off\n}\n${config}`)
  run('caddy', ['run', '--config', join(dir, 'Caddyfile')], { XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir })
  await until('the proxy', () => fetch(url).then((answer) => answer.ok, () => false))
  browser = await chromium.launch({ executablePath: found, args: ['--no-sandbox'] })
})
afterAll(async () => {
  await browser?.close()
  for (const program of programs) program.kill()
  await server.remove()
  rmSync(dir, { recursive: true, force: true })
})

test.skipIf(!found || !caddy)('two people talk on the example page', async () => {
  const open = async (user: string, other: string) => {
    const context = await browser.newContext()
    await context.addCookies([{ name: 'session', value: `session-of-${user}`, url }])
    const page = await context.newPage()
    page.setDefaultTimeout(patience)
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    await page.goto(`${url}/?user=${user}&with=${other}`)
    await page.getByText('online', { exact: true }).waitFor()
    return { page, errors, context }
  }
  const alice = await open('alice', 'bob')
  await alice.page.getByLabel('Message').fill('hello bob')
  await alice.page.getByRole('button').click()
  const bob = await open('bob', 'alice')
  await bob.page.getByText('alice: hello bob').waitFor()
  await bob.context.setOffline(true)
  await bob.page.getByLabel('Message').fill('written offline')
  await bob.page.getByRole('button').click()
  await bob.page.getByText('bob: written offline (sending)').waitFor()
  await bob.context.setOffline(false)
  await bob.page.reload() // what it has to send survives that
  await alice.page.getByText('bob: written offline').waitFor()
  await bob.page.getByText('bob: written offline', { exact: true }).waitFor()
  expect([...alice.errors, ...bob.errors]).toEqual([])
})
