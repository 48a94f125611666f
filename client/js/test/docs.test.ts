// The reference at /docs, in Chromium, as the real server serves it.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { axe, violations } from './browser.js'
import { DevServer } from './server.js'

const root = join(import.meta.dirname, '..')
const committed = join(root, '../../rest/demo/docs')
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))

test('the embedded reference is what the documents make, and is small', () => {
  const fresh = mkdtempSync(join(tmpdir(), 'parley-docs-'))
  try {
    execFileSync('node', ['scripts/docs.mjs'], { cwd: root, env: { ...process.env, PARLEY_DOCS_OUT: fresh } })
    expect(readdirSync(committed).sort(), 'run npm run docs').toEqual(readdirSync(fresh).sort())
    let size = 0
    for (const name of readdirSync(fresh)) {
      expect(readFileSync(join(committed, name)).equals(readFileSync(join(fresh, name))), `${name}: run npm run docs`).toBe(true)
      size += gzipSync(readFileSync(join(fresh, name))).length
    }
    console.log(`the reference: ${(size / 1000).toFixed(0)} KB gzipped in all`)
    expect(size).toBeLessThan(150_000)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
})

test.skipIf(!executablePath)('in a browser: all is there, no error, no request elsewhere, no violation', async () => {
  const server = new DevServer()
  await server.start()
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  try {
    // axe is put into the page from outside, past the policy, which allows no script.
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
    const page = await context.newPage()
    const trouble: string[] = []
    page.on('pageerror', (error) => trouble.push(error.message))
    page.on('console', (entry) => void (['error', 'warning'].includes(entry.type()) && trouble.push(entry.text())))
    page.on('request', (request) => void (request.url().startsWith(`${server.url}/`) || request.url() === 'data:,' || trouble.push(`a request to ${request.url()}`)))
    const paths: Record<string, Record<string, { operationId?: string }>> = parse(readFileSync(join(root, '../../contracts/openapi.yaml'), 'utf8')).paths
    const operations = Object.values(paths).flatMap((item) => Object.values(item).filter((op) => op?.operationId))
    for (const path of ['/docs', '/docs/realtime', '/docs/guide']) {
      const answer = await page.goto(server.url + path)
      expect(answer?.headers()['content-security-policy']).not.toContain('script-src')
      if (path === '/docs') expect(await page.locator('.operation').count()).toBe(operations.length)
      const dangling = await page.evaluate(() =>
        [...document.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute('href')!).filter((href) => !document.getElementById(href.slice(1))),
      )
      expect(dangling, path).toEqual([])
      const twice = await page.evaluate(() => {
        const ids = [...document.querySelectorAll('[id]')].map((element) => element.id)
        return ids.filter((id, i) => ids.indexOf(id) !== i)
      })
      expect(twice, path).toEqual([])
      for (const scheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: scheme })
        await page.evaluate(axe())
        const found = await violations(page, scheme === 'dark')
        expect(found, `${path} ${scheme}`).toEqual([])
      }
      await page.setViewportSize({ width: 390, height: 844 })
      expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(390)
      await page.setViewportSize({ width: 1440, height: 900 })
      if (process.env.PARLEY_SHOTS) await page.screenshot({ path: `${process.env.PARLEY_SHOTS}/${path.replaceAll('/', '_')}.png` })
    }
    expect(trouble).toEqual([])
  } finally {
    await browser.close()
    await server.remove()
  }
})
