// What is written in the demo page before it can be encrypted.
import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bubble, executablePath, noViolations, open, pane, say, Visitors } from './browser.js'
import { DevServer, until } from './server.js'

describe.skipIf(!executablePath)('what cannot be encrypted yet', () => {
  const server = new DevServer()
  const visitors = new Visitors(() => server.url)
  let page: Page

  const begin = async (where: Locator, ...users: string[]) => {
    await where.getByLabel('New conversation').first().click()
    for (const user of users) {
      await page.getByLabel('User id', { exact: true }).fill(user)
      await page.getByRole('button', { name: 'Add', exact: true }).click()
    }
    if (users.length > 1) await page.getByLabel('Name of the group').fill('Three')
    await page.getByRole('button', { name: users.length > 1 ? 'Create the group' : 'Start' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  /** What the server has of the newest thread of Alice, the oldest message first. */
  const stored = () =>
    page.evaluate(async () => {
      const { token } = (await (await fetch('/demo/token?user=alice', { method: 'POST' })).json()) as { token: string }
      const headers = { Authorization: `Bearer ${token}`, 'X-Device-Id': 'another' }
      const { threads } = (await (await fetch('/v1/threads', { headers })).json()) as { threads: { id: string }[] }
      const answer = await fetch(`/v1/threads/${threads[0]!.id}/messages`, { headers })
      const { messages } = (await answer.json()) as { messages: { ciphertext: string; content_type: string }[] }
      return messages.filter((m) => m.content_type !== 'control').map((m) => m.ciphertext).reverse()
    })

  /** Holds what is sent, as the commit with which an encryption begins, until it is let go. */
  const holdCommits = async (): Promise<() => void> => {
    let go = () => {}
    const held = new Promise<void>((resolve) => (go = resolve))
    await page.route('**/v1/threads/*/messages', async (route) => {
      if (route.request().method() === 'POST') await held
      await route.continue()
    })
    return go
  }

  beforeAll(async () => {
    await server.start()
    await visitors.start()
    page = await visitors.page()
    await open(page, `${server.url}/?as=alice`)
  }, 120_000)
  afterAll(async () => {
    await visitors.stop()
    await server.remove()
  })

  test('waits over a reload, and is sent in its order once somebody can read it', async () => {
    const alice = pane(page, 'Alice')
    await begin(alice, 'carol')
    await alice.getByText('Carol has no device with encryption yet').waitFor()
    for (const text of ['The first', 'A mistake', 'The second']) await say(alice, text)
    await noViolations(page)
    await alice.getByLabel('Message', { exact: true }).fill('and more')
    await bubble(alice, 'A mistake').getByRole('button', { name: 'Take back' }).click()
    const draft = () => alice.getByLabel('Message', { exact: true }).inputValue()
    await until('it is in the field again', async () => (await draft()) === 'A mistake\nand more')
    expect(await stored()).toEqual([])

    await page.reload()
    await alice.getByText('Connected').waitFor()
    for (const text of ['The first', 'The second']) await bubble(alice, text).getByText('Waits to be encrypted').waitFor()
    const phone = await visitors.page({ viewport: { width: 390, height: 844 } })
    await open(phone, `${server.url}/?as=carol`)
    const carol = pane(phone, 'Carol')
    await carol.getByRole('radio', { name: 'Requests 1 waiting' }).click()
    await carol.locator('.thread', { hasText: 'Alice' }).click()
    await bubble(carol, 'The second').waitFor()
    expect(await carol.locator('article.row .text').allTextContents()).toEqual(['The first', 'The second'])
    await alice.getByText('Waits to be encrypted').first().waitFor({ state: 'detached' })
    const sealed = await stored()
    expect(sealed).toHaveLength(2)
    for (const ciphertext of sealed) expect(ciphertext).toMatch(/^AAEAA/)
    expect(await draft()).toBe('A mistake\nand more')
    await phone.context().close()
  })

  test('goes out without encryption only by choice', async () => {
    const alice = pane(page, 'Alice')
    await begin(alice, 'dave')
    await alice.getByText('Dave has no device with encryption yet').waitFor()
    await say(alice, 'Hello Dave')
    await bubble(alice, 'Hello Dave').getByText('Waits to be encrypted').waitFor()
    expect(await stored()).toEqual([])
    await alice.getByRole('button', { name: 'Send without encryption' }).click()
    await bubble(alice, 'Hello Dave').getByLabel(/Details/).waitFor()
    await alice.getByText('Not encrypted: the server can read what is written here').waitFor()
    expect(await stored()).toEqual([Buffer.from('Hello Dave').toString('base64')])
  })

  test('while the encryption of a new conversation begins, one writes already', async () => {
    const alice = pane(page, 'Alice')
    const phone = await visitors.page({ viewport: { width: 390, height: 844 } })
    await open(phone, `${server.url}/?as=bob`)
    const go = await holdCommits()
    await begin(alice, 'bob')
    await alice.getByRole('heading', { name: 'Bob' }).waitFor()
    await say(alice, 'At once')
    await bubble(alice, 'At once').getByText('Waits to be encrypted').waitFor()
    expect(await alice.getByLabel('Message', { exact: true }).inputValue()).toBe('')
    go()
    await bubble(alice, 'At once').getByLabel(/Details/).waitFor()
    expect(await stored()).toEqual([expect.stringMatching(/^AAEAA/)])
    await phone.context().close()
  })

  test('is sent once, also when the page ends before it knows that it is sent', async () => {
    const alice = pane(page, 'Alice')
    const go = await holdCommits()
    await begin(alice, 'bob', 'carol')
    await alice.getByRole('heading', { name: 'Three' }).waitFor()
    await say(alice, 'Once and no more')
    await bubble(alice, 'Once and no more').getByText('Waits to be encrypted').waitFor()
    await page.evaluate(() => { // the page ends before what is sent is taken out
      Storage.prototype.removeItem = () => {}
    })
    go()
    await bubble(alice, 'Once and no more').getByLabel(/Details/).waitFor()
    expect(await stored()).toHaveLength(1)
    const waits = () => page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('/waiting/')).length)
    expect(await waits(), 'what waits, as the page that ended left it').toBeGreaterThan(0)
    await page.reload()
    await alice.getByText('Connected').waitFor()
    await alice.locator('.thread', { hasText: 'Three' }).click()
    await until('nothing waits', async () => (await waits()) === 0)
    await say(alice, 'The end')
    await bubble(alice, 'The end').getByLabel(/Details/).waitFor()
    expect(await stored()).toHaveLength(2)
    expect(await alice.locator('article.row .text').allTextContents()).toEqual(['Once and no more', 'The end'])
  })

  test('nothing was wrong all along', () => expect(visitors.trouble).toEqual([]))
})
