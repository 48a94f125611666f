// The demo page as people use it: in Chromium, against the real server.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bubble, choose, does, edit, executablePath, noViolations, open, pane as paneOn, say, Visitors } from './browser.js'
import { DevServer } from './server.js'

const root = new URL('..', import.meta.url).pathname
const dist = join(root, '../../rest/demo/dist')
const files = (dir: string) => (readdirSync(dir, { recursive: true }) as string[]).filter((name) => name.includes('.')).sort()

test('the embedded page is what its source builds to, and is small', () => {
  const fresh = mkdtempSync(join(tmpdir(), 'parley-demo-'))
  try {
    execFileSync('npm', ['run', '--silent', 'demo', '--', '--logLevel', 'error'], { cwd: root, env: { ...process.env, NODE_ENV: 'production', PARLEY_DEMO_OUT: fresh }, stdio: 'pipe' })
    expect(files(dist), 'run npm run demo').toEqual(files(fresh))
    let [page, encryption] = [0, 0]
    for (const name of files(fresh)) {
      expect(readFileSync(join(dist, name)).equals(readFileSync(join(fresh, name))), `${name}: run npm run demo`).toBe(true)
      const size = gzipSync(readFileSync(join(fresh, name))).length
      if (name.startsWith('assets/mls-')) encryption += size
      else page += size
    }
    console.log(`the demo page: ${(page / 1000).toFixed(0)} KB gzipped in all, and ${(encryption / 1000).toFixed(0)} KB of encryption after it`)
    expect(page).toBeLessThan(350_000)
    expect(encryption).toBeGreaterThan(10_000)
    expect(encryption).toBeLessThan(80_000)
    // Nothing of the first paint asks for the encryption.
    expect(readFileSync(join(fresh, 'index.html'), 'utf8')).not.toContain('mls-')
    for (const name of files(fresh).filter((n) => n.endsWith('.js'))) expect(readFileSync(join(fresh, name), 'utf8'), name).not.toMatch(/(from|import) ?"\.\/mls-/)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
})

if (!executablePath) console.log('there is no chromium on this machine: the demo page is not opened')

describe.skipIf(!executablePath)('in a browser', () => {
  const server = new DevServer()
  const visitors = new Visitors(() => server.url)
  let page: Page

  const pane = (name: string): Locator => paneOn(page, name)
  const connection = async (where: Locator, what: string) => {
    await where.getByLabel('Connection').click()
    await choose(page, what)
  }

  beforeAll(async () => {
    await server.start()
    await visitors.start()
    page = await visitors.page()
  }, 120_000)
  afterAll(async () => {
    await visitors.stop()
    await server.remove()
  })

  test('two people chat, side by side, over JSON and over MQTT', async () => {
    await page.goto(server.url)
    const [alice, bob] = [pane('Alice'), pane('Bob')]
    await alice.getByText('Connected').waitFor()
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime)
    console.log(`first paint after ${Math.round(paint ?? 0)} ms`)
    await alice.getByRole('button', { name: 'Write to Bob' }).click()
    await say(alice, 'Hello Bob')
    await bubble(bob, 'Hello Bob').waitFor()
    await bob.getByRole('button', { name: 'Accept' }).click()
    await bob.hover()
    await bubble(alice, 'Hello Bob').getByLabel('read. Details').waitFor()

    await bob.getByRole('radio', { name: 'MQTT' }).click()
    await bob.getByText('Connected').waitFor()
    await bob.getByLabel('Message', { exact: true }).pressSequentially('Hi', { delay: 5 })
    await alice.getByText('typing…').first().waitFor()
    await say(bob, 'Hello over MQTT')
    await bubble(alice, 'Hello over MQTT').waitFor()
    await does(bubble(bob, 'Hello Bob'), 'Reply')
    await say(bob, 'An answer')
    await bubble(alice, 'An answer').locator('.quote', { hasText: 'Hello Bob' }).waitFor()

    await does(bubble(alice, 'Hello over MQTT'), 'React')
    await noViolations(page) // of the emojis
    await page.getByRole('group', { name: 'Emojis' }).getByLabel('👍').click()
    await bubble(bob, 'Hello over MQTT').getByLabel('👍 Alice').waitFor()
    await does(bubble(alice, 'Hello over MQTT'), 'Pin')
    await bob.locator('.pinned', { hasText: 'Hello over MQTT' }).waitFor()
    await edit(bob, 'An answer', 'A better answer')
    await bubble(alice, 'A better answer').getByText('edited').waitFor()
    await does(bubble(bob, 'A better answer'), 'Delete')
    await bubble(alice, 'This message was deleted').waitFor()

    await alice.getByLabel('Disappearing messages').click()
    await page.getByRole('menuitem', { name: '10 seconds' }).click()
    await say(alice, 'Gone soon')
    await bubble(bob, 'Gone soon').locator('.lifetime').waitFor()
    await alice.getByLabel(/^Disappearing messages/).click()
    await page.getByRole('menuitem', { name: 'Messages stay' }).click()
    for (const opener of ['Disappearing messages', 'Connection', 'Conversation']) { // meanwhile
      await alice.getByLabel(opener, { exact: true }).click()
      await noViolations(page) // of a menu
      await page.keyboard.press('Escape')
    }
    await bubble(bob, 'This message has disappeared').waitFor()
    await noViolations(page)
  })

  test('offline composing, a killed connection, a restart of the server, a reload', async () => {
    const [alice, bob] = [pane('Alice'), pane('Bob')]
    visitors.expected = /WebSocket|ERR_|Failed to load resource/
    await connection(alice, 'Go offline')
    await say(alice, 'Written offline')
    await bubble(alice, 'Written offline').getByLabel('sending').waitFor()
    await say(bob, 'While you were away')
    await connection(alice, 'Go online')
    await bubble(alice, 'While you were away').waitFor()
    await bubble(bob, 'Written offline').waitFor()
    await connection(bob, 'Kill my connection')
    await say(alice, 'Still there?')
    await bubble(bob, 'Still there?').waitFor()

    await server.stop()
    await say(alice, 'Sent into a restart')
    await server.start()
    await bubble(bob, 'Sent into a restart').waitFor()

    await connection(alice, 'Go offline')
    await say(alice, 'Kept over a reload')
    await bubble(alice, 'Kept over a reload').waitFor()
    await page.reload()
    await bubble(bob, 'Kept over a reload').waitFor()
    expect(await alice.locator('article.row', { hasText: 'Kept over a reload' }).count()).toBe(1)
    visitors.expected = undefined
  })

  test('a group of three, its receipts, a second tab, the inspector, a phone, the dark', async () => {
    const alice = pane('Alice')
    const tab = await page.context().newPage()
    visitors.watch(tab)
    await open(tab, `${server.url}/?as=carol`)
    await alice.getByLabel('New conversation').click()
    await page.getByRole('dialog').getByText('Bob').click()
    await page.getByRole('dialog').getByText('Carol').click()
    await page.getByLabel('Name of the group').fill('Ridge walk')
    await noViolations(page) // of the new conversation
    await page.getByRole('button', { name: 'Create the group' }).click()
    await alice.getByRole('heading', { name: 'Ridge walk' }).waitFor()
    await say(alice, 'Saturday?')

    await tab.locator('.thread', { hasText: 'Ridge walk' }).click()
    await tab.locator('article.row', { hasText: 'Saturday?' }).waitFor()
    await tab.getByRole('button', { name: 'Accept' }).click()
    await bubble(alice, 'Saturday?').getByText('1/2').waitFor()
    await bubble(alice, 'Saturday?').getByLabel(/Details/).click()
    await page.getByText('Read by 1 of 2').waitFor()
    await noViolations(page) // of the message's details
    await page.keyboard.press('Escape')
    await tab.goto(`${server.url}/?as=alice`)
    await alice.getByText('Alice is open in another tab').waitFor()
    await tab.close()
    await alice.getByRole('button', { name: 'Use here' }).click()
    await alice.getByText('Connected').waitFor()

    await alice.getByLabel('Inspector', { exact: true }).click()
    await say(alice, 'Look inside')
    await bubble(alice, 'Look inside').getByLabel(/Details/).waitFor()
    await alice.locator('.entry.rest', { hasText: /POST threads.*messages/ }).first().getByRole('button').click()
    await alice.locator('.entry-body', { hasText: 'Look inside' }).waitFor()
    await noViolations(page)
    await alice.getByLabel('Close the inspector').click()

    await page.getByLabel('Dark colours').click()
    await page.setViewportSize({ width: 390, height: 844 })
    await alice.getByLabel('Back to conversations').click()
    await alice.locator('.thread', { hasText: 'Bob' }).click()
    await bubble(alice, 'Kept over a reload').waitFor()
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
    await noViolations(page)
  })

  test('a long thread stays smooth, and nothing was wrong all along', async () => {
    const alice = pane('Alice')
    await page.setViewportSize({ width: 1440, height: 900 })
    await alice.locator('.thread', { hasText: 'Bob' }).click()
    await connection(alice, 'Send 200 messages')
    await bubble(alice, 'Message 200 of 200').getByLabel(/Details/).waitFor() // the server has it
    expect(await alice.locator('article.row').count(), 'rows of 200 messages in the page').toBeLessThan(80)
    expect(visitors.trouble).toEqual([])
  })
})
