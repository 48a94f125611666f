// Texts that are lost on a device of the demo page, and come again; a new encryption where nobody has the old one.
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bubble, executablePath, listed, noViolations, open, pane, say, Visitors } from './browser.js'
import { DevServer } from './server.js'

describe.skipIf(!executablePath)('what a device cannot read', () => {
  const server = new DevServer()
  const visitors = new Visitors(() => server.url)
  let alices: Page
  let bobs: Page
  const alice = () => pane(alices, 'Alice')
  const bob = () => pane(bobs, 'Bob')
  const deviceOf = (page: Page, user: string) => page.evaluate((user) => localStorage.getItem(`parley.device.${user}`)!, user)

  /** The browser of a person forgets everything but which device it is. */
  const forget = async (page: Page, user: string) => {
    await page.goto(`${server.url}/docs`)
    await page.evaluate(async (user) => {
      const theirs = (await indexedDB.databases()).map(({ name }) => name!).filter((name) => name.includes(user))
      await Promise.all(theirs.map((name) => new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase(name)
        request.onsuccess = resolve
        request.onerror = request.onblocked = reject
      })))
    }, user)
  }
  const shown = async (page: Page, user: string, other: string) => {
    await page.goto(`${server.url}/?as=${user.toLowerCase()}`)
    await listed(pane(page, user), other).locator('.thread').click()
  }
  const fits = async (page: Page) => {
    const before = page.viewportSize()!
    await page.setViewportSize({ width: 390, height: 844 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
    await noViolations(page)
    await page.setViewportSize(before)
  }

  beforeAll(async () => {
    await server.start()
    await visitors.start()
    alices = await visitors.page()
    bobs = await visitors.page()
    await open(alices, `${server.url}/?as=alice`)
    await open(bobs, `${server.url}/?as=bob`)
    await alice().getByLabel('New conversation').first().click()
    await alices.getByRole('dialog').getByText('Bob', { exact: true }).click()
    await alices.getByRole('button', { name: 'Start' }).click()
    await alice().getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await say(alice(), 'Mine before')
    await bob().getByRole('radio', { name: /Requests/ }).click()
    await listed(bob(), 'Alice').locator('.thread').click()
    await bob().getByRole('button', { name: 'Accept' }).click()
    for (const text of ['The first of Bob', 'The second of Bob', 'The third of Bob']) await say(bob(), text)
    await bubble(alice(), 'The third of Bob').waitFor()
  }, 180_000)
  afterAll(async () => {
    await visitors.stop()
    await server.remove()
  })

  test('is asked for, and comes again when the other one agrees', async () => {
    await forget(alices, 'alice')
    await shown(alices, 'Alice', 'Bob')
    await alice().getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await alice().getByText('4 messages cannot be read on this device.').waitFor()
    await fits(alices)
    const theirs = alice().locator('article.row:not(.own)', { hasText: 'Sent before this device was let in' })
    await theirs.first().getByRole('button', { name: 'Ask to send again' }).click()
    await theirs.first().getByText('Asked for').waitFor()
    await alice().getByText('3 messages cannot be read on this device.').waitFor()

    const device = await deviceOf(alices, 'alice')
    await bob().getByText(`Alice’s device ${device} cannot read 1 of your messages.`).waitFor()
    await fits(bobs)
    await bob().getByRole('button', { name: 'compare your safety numbers' }).click()
    await bobs.getByLabel('Safety number of you and Alice').waitFor()
    await bobs.keyboard.press('Escape')
    await bob().getByRole('button', { name: 'Send again' }).click()
    await bubble(alice(), 'The first of Bob').getByText('sent again').waitFor()
    await bob().locator('.ask-line').waitFor({ state: 'detached' })

    await alice().getByRole('button', { name: 'Ask for them' }).click()
    await alice().getByText('Asked for 3 messages.').waitFor()
    await bob().getByText('cannot read 2 of your messages.').waitFor()
    await bob().getByRole('button', { name: 'Send again' }).click()
    for (const text of ['The second of Bob', 'The third of Bob']) await bubble(alice(), text).getByText('sent again').waitFor()
    await alice().getByText('Asked for 1 message.').waitFor() // her own, which only she had
    await fits(alices)
    expect(await bob().getByText('sent again').count()).toBe(0)
  })

  test('stays unread where the other one does not agree', async () => {
    await forget(alices, 'alice')
    await shown(alices, 'Alice', 'Bob')
    await alice().getByRole('button', { name: 'Ask for them' }).click()
    await bob().getByText('cannot read 3 of your messages.').waitFor()
    await bob().getByRole('button', { name: 'Not now' }).click()
    await bob().locator('.ask-line').waitFor({ state: 'detached' })
    await alice().getByText('Asked for 4 messages.').waitFor()
    await say(bob(), 'Another time')
    await bubble(alice(), 'Another time').waitFor()
    expect(await alice().getByText('The first of Bob').count()).toBe(0)
  })

  test('a new device is told of, until somebody has taken note', async () => {
    const phone = await visitors.page({ viewport: { width: 390, height: 844 } })
    await open(phone, `${server.url}/?as=alice`)
    const device = await deviceOf(phone, 'alice')
    await bob().locator('.toast', { hasText: `Alice has a new device: ${device}.` }).waitFor()
    await bob().locator('.secrecy-line', { hasText: `Alice has a new device: ${device}.` }).waitFor()
    await fits(bobs)
    await bob().getByRole('button', { name: 'Dismiss' }).click()
    await bob().locator('.secrecy-line').waitFor({ state: 'detached' })
    await phone.context().close()
  })

  test('where all have lost their keys, one begins a new encryption', async () => {
    await forget(alices, 'alice')
    await forget(bobs, 'bob')
    await Promise.all([shown(alices, 'Alice', 'Bob'), shown(bobs, 'Bob', 'Alice')])
    for (const side of [alice(), bob()]) await side.getByText('This device is new here').waitFor()
    const button = alice().getByRole('button', { name: 'Begin a new encryption' })
    await button.waitFor()
    await fits(alices)
    await button.click()
    const dialog = alices.getByRole('dialog')
    await dialog.getByText('Everybody here moves to a new encryption').waitFor()
    await noViolations(alices)
    await dialog.getByRole('button', { name: 'Wait' }).click()
    await dialog.waitFor({ state: 'detached' })
    await button.click()
    await dialog.getByRole('button', { name: 'Begin', exact: true }).click()
    await dialog.waitFor({ state: 'detached' })
    for (const side of [alice(), bob()]) await side.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await say(alice(), 'Here we are again')
    await bubble(bob(), 'Here we are again').waitFor()
    await say(bob(), 'So we are')
    await bubble(alice(), 'So we are').waitFor()
    expect(await bob().getByText('Another time').count()).toBe(0)
  })

  test('nothing was wrong all along', () => expect(visitors.trouble).toEqual([]))
})
