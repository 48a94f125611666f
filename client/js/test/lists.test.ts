// What the demo page shows of a person's own: requests, the list, devices, blocks, reports, search, tokens.
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeText } from '../src/index.js'
import { account, bubble, choose, does, executablePath, listed, noViolations, open, own, pane, say, Visitors } from './browser.js'
import { DevServer, Server, token, until } from './server.js'

/** A call as somebody on another device, past the page. */
async function call<T>(url: string, bearer: string, method: string, path: string, body?: object, device = 'script'): Promise<T> {
  const headers: Record<string, string> = { Authorization: `Bearer ${bearer}`, 'X-Device-Id': device }
  if (body) Object.assign(headers, { 'Content-Type': 'application/json', 'Idempotency-Key': crypto.randomUUID() })
  const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return (answer.status === 204 ? undefined : await answer.json()) as T
}

const protocol = async (where: ReturnType<typeof pane>, name: 'JSON' | 'MQTT') => {
  await where.getByRole('radio', { name }).click()
  await where.getByText('Connected').waitFor()
}
const place = (where: ReturnType<typeof pane>, name: string) => where.getByRole('radio', { name })

describe.skipIf(!executablePath)('in a browser', () => {
  const server = new DevServer()
  const visitors = new Visitors(() => server.url)
  let page: Page // Alice and Bob, side by side
  const bearer = (user: string) =>
    page.evaluate(async (user) => ((await (await fetch(`/demo/token?user=${user}`, { method: 'POST' })).json()) as { token: string }).token, user)

  beforeAll(async () => {
    await server.start()
    await visitors.start()
    page = await visitors.page()
    await open(page, server.url, 2)
  }, 120_000)
  afterAll(async () => {
    await visitors.stop()
    await server.remove()
  })

  test.each([['JSON', 'Carol'], ['MQTT', 'Alice']] as const)('over %s, who is new waits until it is accepted', async (name, stranger) => {
    const [alice, bob] = [pane(page, 'Alice'), pane(page, 'Bob')]
    await protocol(bob, name)
    const tab = stranger === 'Carol' ? await visitors.page() : page
    if (tab !== page) await open(tab, `${server.url}/?as=carol`)
    const from = pane(tab, stranger)
    await from.getByRole('button', { name: 'New conversation' }).first().click()
    await tab.getByRole('dialog').getByText('Bob', { exact: true }).click()
    await tab.getByRole('button', { name: 'Start' }).click()
    await tab.getByRole('dialog').waitFor({ state: 'detached' })
    await say(from, `Good day, this is ${stranger}`)
    await place(bob, 'Requests 1 waiting').waitFor()
    await place(bob, 'Requests').click()
    await listed(bob, stranger).locator('.thread').click()
    await bob.getByText(`${stranger} wants to write to you.`).waitFor()
    expect(await bob.getByLabel('Message', { exact: true }).count(), 'a composer before it is accepted').toBe(0)
    await bubble(bob, 'Good day').hover()
    await bubble(bob, 'Good day').getByLabel('More').click()
    expect(await page.getByRole('menuitem').allTextContents()).toEqual(['Copy', 'Details', 'Report'])
    await page.keyboard.press('Escape')
    await noViolations(page)
    // He looks at it, and neither that nor that he is there is told.
    await bubble(from, 'Good day').getByLabel('delivered. Details').waitFor()
    expect(await from.locator('.chat-title p').textContent()).toBe('offline')
    expect(await bubble(from, 'Good day').getByLabel('read. Details').count()).toBe(0)

    if (stranger === 'Carol') {
      await bob.getByRole('button', { name: 'Archive' }).click()
      await place(bob, 'Archived').click()
      await listed(bob, 'Carol').waitFor()
      await say(from, 'Are you there?')
      await place(bob, 'Requests 1 waiting').click()
      await listed(bob, 'Carol').locator('.thread').click()
      await bob.getByRole('button', { name: 'Block' }).click()
      await place(bob, 'Archived').click()
      await listed(bob, 'Carol').waitFor()
      await say(from, 'Hello?')
      await bubble(from, 'Hello?').getByLabel('failed. Details').waitFor()
      await account(bob, 'Blocked people')
      await noViolations(page)
      await page.getByRole('button', { name: 'Unblock Carol' }).click()
      await page.getByText('You block nobody.').waitFor()
      await page.keyboard.press('Escape')
      await tab.context().close()
    } else {
      await bob.getByRole('button', { name: 'Accept' }).click()
      await place(bob, 'Inbox').and(bob.locator('[aria-checked=true]')).waitFor()
      await bubble(from, 'Good day').getByLabel('read. Details').waitFor()
      await alice.locator('.chat-title', { hasText: 'online' }).waitFor()
      await bob.getByLabel('Message', { exact: true }).pressSequentially('Yes', { delay: 5 })
      await alice.getByText('typing…').first().waitFor()
      await say(bob, 'Good day to you')
      await alice.hover()
      await bubble(bob, 'Good day to you').getByLabel('read. Details').waitFor()
    }
  })

  test('two devices of a person show the same list', async () => {
    const phone = await visitors.page({ viewport: { width: 390, height: 844 } })
    await open(phone, `${server.url}/?as=alice`)
    const [alice, there, bob] = [pane(page, 'Alice'), pane(phone, 'Alice'), pane(page, 'Bob')]
    await protocol(there, 'MQTT')
    await listed(there, 'Bob').waitFor()
    await alice.getByLabel('New conversation').click()
    await page.getByRole('dialog').getByText('Bob', { exact: true }).click()
    await page.getByRole('dialog').getByText('Carol', { exact: true }).click()
    await page.getByLabel('Name of the group').fill('Ridge walk')
    await page.getByRole('button', { name: 'Create the group' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await say(alice, 'Saturday?')
    const titles = async () => (await there.locator('.thread-title').allTextContents()).join()
    await until('the newest first', async () => (await titles()) === 'Ridge walk,Bob')

    await own(alice, 'Bob', 'Pin to the top')
    await until('the pinned one first', async () => (await titles()) === 'Bob,Ridge walk')
    await own(alice, 'Ridge walk', 'Mute until turned on')
    await listed(there, 'Ridge walk').getByLabel('muted').waitFor()
    await own(alice, 'Ridge walk', 'Mark as unread')
    await listed(there, 'Ridge walk').getByLabel('marked as unread').waitFor()
    expect((await place(there, 'Inbox').textContent())!.trim(), 'a muted thread does not count').toBe('Inbox')
    // By a long touch, or the right button.
    await listed(there, 'Ridge walk').click({ button: 'right' })
    await choose(phone, 'Unmute')
    await place(there, 'Inbox 1 unread').waitFor()
    await place(alice, 'Inbox 1 unread').waitFor()
    await listed(there, 'Ridge walk').locator('.thread').click()
    await listed(alice, 'Ridge walk').getByLabel('marked as unread').waitFor({ state: 'detached' })
    const ridge = (await call<{ threads: { id: string; title: string }[] }>(server.url, await bearer('alice'), 'GET', '/v1/threads')).threads.find((t) => t.title === 'Ridge walk')!
    await call(server.url, await bearer('alice'), 'PATCH', `/v1/threads/${ridge.id}/me`, { muted_until: new Date(Date.now() + 4000).toISOString() })
    await listed(alice, 'Ridge walk').getByLabel('muted').waitFor()
    await listed(alice, 'Ridge walk').getByLabel('muted').waitFor({ state: 'detached' }) // by itself
    await there.getByLabel('Conversation', { exact: true }).click()
    await choose(phone, 'Archive')
    await place(alice, 'Archived').click()
    await listed(alice, 'Ridge walk').waitFor()
    await place(alice, 'Inbox').click()
    expect(await listed(alice, 'Ridge walk').count()).toBe(0)

    await listed(alice, 'Bob').locator('.thread').click() // what is open anywhere is read at once
    await there.getByLabel('Back to conversations').click()
    await listed(bob, 'Ridge walk').locator('.thread').click()
    await say(bob, 'I am in') // which brings it back
    await listed(alice, 'Ridge walk').getByLabel('1 unread').waitFor()
    await own(alice, 'Ridge walk', 'Mark as read')
    await listed(alice, 'Ridge walk').locator('.badge').waitFor({ state: 'detached' })
    expect(await phone.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
    await noViolations(phone)
    await noViolations(page)
    await phone.context().close()
  })

  test('devices are listed, told live and removed', async () => {
    const other = await visitors.page()
    await open(other, `${server.url}/?as=alice`)
    const [alice, there] = [pane(page, 'Alice'), pane(other, 'Alice')]
    await there.getByText('Connected').waitFor()
    const id = await other.evaluate(() => localStorage.getItem('parley.device.alice'))
    const opener = alice.getByRole('button', { name: ': account' })
    await account(alice, 'Devices')
    const dialog = page.getByRole('dialog')
    await dialog.locator('li', { hasText: id! }).getByText('Connected').waitFor()
    expect(await dialog.locator('li').first().textContent()).toContain('This device')
    const key = (n: number) => ({ key_id: n, public_key: 'AAAA', signature: 'AAAA' })
    const keys = { identity_key: 'AAAA', signed_prekey: key(1), one_time_prekeys: [] }
    await call(server.url, await bearer('alice'), 'PUT', '/v1/users/me/prekeys', keys, 'new-laptop')
    await dialog.locator('li', { hasText: 'new-laptop' }).waitFor()
    await noViolations(page)

    await dialog.getByLabel(`Remove ${id}`).click()
    await dialog.getByRole('button', { name: 'Keep' }).click()
    await dialog.getByLabel(`Remove ${id}`).click()
    await noViolations(page)
    await dialog.getByRole('button', { name: 'Remove it' }).click()
    await there.getByText('This device was removed').waitFor()
    await dialog.locator('li', { hasText: id! }).waitFor({ state: 'detached' })
    await noViolations(other)
    await page.keyboard.press('Escape')
    await until('the focus is back', () => opener.evaluate((button) => button === document.activeElement))

    await there.getByRole('button', { name: 'Start as a new device' }).click()
    await there.getByText('Connected').waitFor()
    await listed(there, 'Ridge walk').waitFor()
    expect(await other.evaluate(() => localStorage.getItem('parley.device.alice'))).not.toBe(id)
    await other.context().close()
  })

  test('a message is reported, a person blocked, and an old message found', async () => {
    const [alice, bob] = [pane(page, 'Alice'), pane(page, 'Bob')]
    await listed(alice, 'Bob').locator('.thread').click()
    await listed(bob, 'Alice').locator('.thread').click()
    const [thread] = (await call<{ threads: { id: string }[] }>(server.url, await bearer('bob'), 'GET', '/v1/threads?state=inbox')).threads.slice(-1)
    const theirs = await bearer('bob')
    for (let i = 1; i <= 150; i++) {
      const text = i === 3 ? 'The Needle is in here' : `Hay ${i}`
      await call(server.url, theirs, 'POST', `/v1/threads/${thread!.id}/messages`, { client_seq: i, ciphertext: encodeText(text), content_type: 'text' })
    }
    await bubble(alice, 'Hay 150').waitFor()
    await page.reload() // now only the newest are in memory
    await alice.getByText('Connected').waitFor()
    await alice.getByLabel('Search conversations and messages').fill('n')
    await alice.getByLabel('Search conversations and messages').fill('needle')
    await alice.locator('.found-message', { has: page.locator('mark', { hasText: 'Needle' }) }).click()
    await alice.locator('article.row.found', { hasText: 'The Needle is in here' }).waitFor()
    await until('it is in sight', () => bubble(alice, 'The Needle').evaluate((row) => row.getBoundingClientRect().top > 100 && row.getBoundingClientRect().bottom < innerHeight))
    await noViolations(page)
    await alice.getByLabel('Search conversations and messages').fill('no such word')
    await alice.getByText('Nothing found on this device.').waitFor()
    await alice.getByLabel('Clear the search').click()
    await alice.getByLabel('To the newest message').click()

    await does(bubble(alice, 'Hay 150'), 'Report')
    await noViolations(page)
    await page.getByLabel('Spam').check()
    await page.getByLabel('Note').fill('too much of it')
    await page.getByLabel('Block Bob too').check()
    await page.getByRole('button', { name: 'Report', exact: true }).click()
    await alice.getByText('the message is reported').waitFor()
    await alice.getByText('You have blocked Bob.').waitFor()
    await noViolations(page)
    await alice.getByRole('button', { name: 'Unblock' }).click()
    await alice.getByLabel('Message', { exact: true }).waitFor()
  })

  test('the list and the dialogs are used with the keyboard alone', async () => {
    const alice = pane(page, 'Alice')
    await alice.getByRole('radio', { name: /^Inbox/ }).focus()
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowRight')
    await place(alice, 'Archived').and(alice.locator('[aria-checked=true]')).waitFor()
    await alice.getByText('Put away what is done.').waitFor()
    await page.keyboard.press('ArrowRight')
    await listed(alice, 'Bob').getByLabel('Bob: more').focus()
    await page.keyboard.press('Enter')
    await page.getByRole('menuitem', { name: 'Mark as unread' }).waitFor()
    await page.keyboard.press('Enter')
    await listed(alice, 'Bob').getByLabel('marked as unread').waitFor()
    expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Bob: more')
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)
    expect(ring).toBe('solid')
    await listed(alice, 'Bob').locator('.thread').press('Enter')
    await listed(alice, 'Bob').getByLabel('marked as unread').waitFor({ state: 'detached' })
  })

  test('behind a proxy, where the server gives no tokens, one can be pasted', async () => {
    const far = await visitors.page({ extraHTTPHeaders: { 'X-Forwarded-For': '192.0.2.1' } })
    visitors.expected = /status of 404/
    await far.goto(`${server.url}/?as=carol`)
    const carol = pane(far, 'Carol')
    await carol.getByText('it does so on its own machine only').waitFor()
    await carol.getByRole('button', { name: 'Paste a token' }).click()
    await far.getByLabel('Token (JWT)').fill(await bearer('carol'))
    await far.getByRole('button', { name: 'Sign in', exact: true }).click()
    await carol.getByText('Connected').waitFor()
    visitors.expected = undefined
    await listed(carol, 'Bob').waitFor()
    await far.context().close()
  })

  test('nothing was wrong all along', () => expect(visitors.trouble).toEqual([]))
})

describe.skipIf(!executablePath)('without tokens of its own', () => {
  const server = new Server('--demo')
  const visitors = new Visitors(() => server.url)
  let page: Page
  beforeAll(async () => {
    await server.start()
    await visitors.start()
    page = await visitors.page()
  }, 120_000)
  afterAll(async () => {
    await visitors.stop()
    await server.remove()
  })
  const signIn = async (user: string, pasted: string) => {
    await page.getByLabel('User id').fill(user)
    await page.getByLabel('Token (JWT)').fill(pasted)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  }

  /** Signs in with a token that ends soon, and waits for its end. On a slow machine it may end before it is used: then another one lasts longer. */
  const signInForAMoment = async (user: string, name: string) => {
    const without = pane(page, name).getByText(`${name} is offline until there is another.`)
    const late = page.getByText('This token has ended.').and(page.getByRole('alert'))
    for (let seconds = 5; ; seconds *= 2) {
      await signIn('', token(user, seconds))
      await without.or(late).first().waitFor()
      if (await without.isVisible()) return
    }
  }

  test('the page asks for a token, and says what is wrong with it', async () => {
    await page.goto(server.url)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await noViolations(page)
    await signIn('dana', 'no token')
    await page.getByText('This is no token.').waitFor()
    await signIn('dana', token('erin'))
    await page.getByText('This token is of “erin”, not of “dana”.').waitFor()
    await signIn('dana', token('dana', -60))
    await page.getByText('This token has ended.').waitFor()
    await page.getByText('parley token --sub dana').waitFor()
    visitors.expected = /status of 40[13]/
    await signIn('dana', `${token('dana').slice(0, -6)}AAAAAA`)
    await page.getByText('The server refuses this token:').waitFor()
    await signIn('dana', token('dana', 3600, 'chat.system'))
    await page.getByText('The server refuses this token:').waitFor()
    visitors.expected = undefined
    await noViolations(page)
  })

  test('who has signed in is there after a reload, and beside somebody else', async () => {
    await signIn('', `Bearer ${token('dana')}\n`)
    const dana = pane(page, 'Dana')
    await dana.getByText('Connected').waitFor()
    await page.reload()
    await dana.getByText('Connected').waitFor()
    await page.getByLabel('Sign in somebody else').click()
    await noViolations(page)
    await signIn('', token('erin'))
    const erin = pane(page, 'Erin')
    await erin.getByText('Connected').waitFor()
    await dana.getByRole('button', { name: 'Write to Erin' }).click()
    await say(dana, 'Hello Erin')
    await bubble(erin, 'Hello Erin').waitFor()
    expect(await page.evaluate(() => Object.values(localStorage).some((value) => value.includes('eyJ'))), 'a token outside of the tab').toBe(false)

    const reloaded = page.waitForEvent('load')
    await account(erin, 'Sign out')
    await reloaded
    await dana.getByText('Connected').waitFor()
    expect(await erin.count()).toBe(0)
    expect(await page.evaluate(async () => (await indexedDB.databases()).map((db) => db.name))).not.toContain('parley-erin')
  })

  test('who signs out while no token is left, or while another tab is used, leaves nothing', async () => {
    const databases = () => page.evaluate(async () => (await indexedDB.databases()).map((db) => db.name))
    visitors.expected = /status of 401|WebSocket/
    await page.getByLabel('Sign in somebody else').click()
    await signInForAMoment('gina', 'Gina')
    const gina = pane(page, 'Gina')
    await gina.getByRole('button', { name: 'Write to Dana' }).click() // which waits for a token
    let reloaded = page.waitForEvent('load')
    await account(gina, 'Sign out')
    await reloaded
    expect((await databases()).filter((name) => name!.includes('gina'))).toEqual([])
    visitors.expected = undefined

    await page.getByLabel('Sign in somebody else').click()
    await signIn('', token('erin'))
    const erin = pane(page, 'Erin')
    await erin.getByText('Connected').waitFor()
    const tab = await page.context().newPage()
    visitors.watch(tab)
    await tab.goto(server.url)
    await tab.getByLabel('Token (JWT)').fill(token('erin'))
    await tab.getByRole('button', { name: 'Sign in', exact: true }).click()
    await erin.getByText('Erin is open in another tab').waitFor()
    await tab.close()
    reloaded = page.waitForEvent('load')
    await account(erin, 'Sign out')
    await reloaded
    expect((await databases()).filter((name) => name!.includes('erin'))).toEqual([])
  })

  test('who signs out takes its keys, choices and texts along, from all tabs', async () => {
    const left = (user: string) =>
      page.evaluate(async (user) => {
        const names = [...Object.keys(localStorage), ...Object.keys(sessionStorage), ...(await indexedDB.databases()).map((db) => db.name!)]
        return names.filter((name) => name.includes(user)).sort()
      }, user)
    await page.getByLabel('Sign in somebody else').click()
    await signIn('', token('erin'))
    const [dana, erin] = [pane(page, 'Dana'), pane(page, 'Erin')]
    await erin.getByText('Connected').waitFor()
    await erin.getByRole('radio', { name: /Requests/ }).click()
    await listed(erin, 'Dana').locator('.thread').click()
    await erin.getByRole('button', { name: 'Accept' }).click()
    await listed(dana, 'Erin').locator('.thread').click()
    for (const side of [dana, erin]) await side.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await erin.getByLabel('Encrypted. Details', { exact: true }).click()
    await page.getByRole('button', { name: 'Dana sees the same' }).click()
    await page.keyboard.press('Escape')
    await erin.getByLabel('Message', { exact: true }).fill('A draft of Erin')
    for (const [other, choice] of [['hugo', false], ['ines', true]] as const) {
      await erin.getByLabel('New conversation').first().click()
      await page.getByLabel('User id', { exact: true }).fill(other)
      await page.getByRole('button', { name: 'Add', exact: true }).click()
      await page.getByRole('button', { name: 'Start' }).click()
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      if (choice) await erin.getByRole('button', { name: 'Write without encryption' }).click()
      else await say(erin, 'You cannot read this yet')
    }
    await until('all that can be kept', async () => {
      const names = (await left('erin')).join(' ')
      return ['device', 'draft', 'compared', 'waiting', 'plain', 'secrets'].every((what) => names.includes(what))
    })
    const before = await left('/erin/')
    const tab = await page.context().newPage()
    visitors.watch(tab)
    visitors.expected = /WebSocket/
    await tab.goto(server.url)
    await tab.getByLabel('Token (JWT)').fill(token('erin'))
    await tab.getByRole('button', { name: 'Sign in', exact: true }).click()
    await erin.getByText('Erin is open in another tab').waitFor()
    const reloaded = [page.waitForEvent('load'), tab.waitForEvent('load')]
    await account(erin, 'Sign out')
    await Promise.all(reloaded)
    await pane(tab, 'Erin').getByText('Connected').waitFor() // with its own token, as a new device
    expect((await left('/erin/')).filter((name) => before.includes(name))).toEqual([])
    visitors.expected = undefined
    const over = tab.waitForEvent('load')
    await account(pane(tab, 'Erin'), 'Sign out')
    await over
    await tab.close()
    expect(await left('erin')).toEqual([])
    await dana.getByText('Connected').waitFor()
    expect((await left('/dana/')).length, 'what is kept of somebody else').toBeGreaterThan(0)
  })

  test('a token that ends is asked for anew, and what was written goes out then', async () => {
    await page.getByLabel('Sign in somebody else').click()
    visitors.expected = /status of 401|WebSocket/
    await signInForAMoment('frank', 'Frank')
    const frank = pane(page, 'Frank')
    await frank.getByLabel('New conversation').first().waitFor()
    await frank.getByRole('button', { name: 'Paste a token' }).click()
    await noViolations(page)
    expect(await page.getByLabel('User id').inputValue()).toBe('frank')
    await page.getByLabel('Token (JWT)').fill(token('frank'))
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await frank.getByText('Connected').waitFor()
    visitors.expected = undefined
    await frank.getByRole('button', { name: 'Write to Dana' }).click()
    await say(frank, 'Here again')
    await bubble(frank, 'Here again').getByLabel(/Details/).waitFor()
    expect(visitors.trouble).toEqual([])
  })
})
