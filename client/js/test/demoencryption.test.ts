// The encryption of the demo page, in Chromium, against the real server.
import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bubble, choose, does, edit, executablePath, listed, noViolations, open, pane as paneOn, say, Visitors } from './browser.js'
import { DevServer, until } from './server.js'

/** What the server has of a thread, as a user of it gets it. */
interface Stored {
  id: string
  messages: { ciphertext: string; content_type: string; sender_id: string; client_seq: number }[]
}

describe.skipIf(!executablePath)('the demo page encrypts', () => {
  const server = new DevServer()
  const visitors = new Visitors(() => server.url)
  let page: Page

  /** A tab beside the others: another page of the same devices. */
  const opened = async (url: string): Promise<Page> => {
    const tab = await page.context().newPage()
    visitors.watch(tab)
    await tab.goto(url)
    return tab
  }
  const pane = (name: string, on = page): Locator => paneOn(on, name)
  const menu = async (button: Locator, what: string) => {
    await button.click()
    await choose(page, what)
  }
  const begin = async (where: Locator, ...people: string[]) => {
    await where.getByLabel('New conversation').click()
    const dialog = page.getByRole('dialog')
    for (const name of people) await dialog.getByText(name, { exact: true }).click()
    if (people.length > 1) await dialog.getByLabel('Name of the group').fill(people.join(' and '))
    await dialog.getByRole('button', { name: people.length > 1 ? 'Create the group' : 'Start' }).click()
  }
  /** A call to the server as one of the demo's people, from another device of hers. */
  const call = <T>(user: string, method: string, path: string, body?: unknown, key?: string): Promise<T> =>
    page.evaluate(async ([user, method, path, body, key]) => {
      const { token } = await (await fetch(`/demo/token?user=${user}`, { method: 'POST' })).json()
      const headers: Record<string, string> = { Authorization: `Bearer ${token}`, 'X-Device-Id': 'another', 'Content-Type': 'application/json' }
      if (key) headers['Idempotency-Key'] = key as string
      return (await fetch(path as string, { method: method as string, headers, ...(body ? { body: JSON.stringify(body) } : {}) })).json()
    }, [user, method, path, body, key] as const) as Promise<T>
  const stored = async (user: string, title: string | null): Promise<Stored> => {
    const { threads } = await call<{ threads: { id: string; title: string | null }[] }>(user, 'GET', '/v1/threads?page_size=100')
    const { id } = threads.find((t) => t.title === title)!
    const { messages } = await call<Stored>(user, 'GET', `/v1/threads/${id}/messages?page_size=100`)
    return { id, messages: messages.filter((m) => m.content_type !== 'control').toReversed() }
  }
  /** Has a person accept a conversation, as on another device of hers. */
  const accept = async (user: string, title: string | null) => {
    const { id } = await stored(user, title)
    await call(user, 'PATCH', `/v1/threads/${id}/me`, { accepted: true })
  }
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const digitsOf = async (where: Locator, other: string): Promise<string[]> => {
    await menu(where.getByLabel('Conversation', { exact: true }), 'Verify encryption')
    const digits = page.getByLabel(`Safety number of you and ${other}`)
    await digits.waitFor()
    return digits.getByRole('listitem').allTextContents()
  }

  beforeAll(async () => {
    await server.start()
    await visitors.start()
    page = await visitors.page()
    await page.goto(server.url)
  }, 120_000)
  afterAll(async () => {
    await visitors.stop()
    await server.remove()
  })

  test('two people in one window, over JSON and MQTT: the server has no text', async () => {
    const [alice, bob] = [pane('Alice'), pane('Bob')]
    await alice.getByRole('button', { name: 'Write to Bob' }).click()
    for (const side of [alice, bob]) await side.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await say(alice, 'The first secret')
    await bubble(bob, 'The first secret').waitFor()
    await accept('bob', null)
    await bob.getByRole('radio', { name: 'MQTT' }).click()
    await bob.getByText('Connected').waitFor()
    await say(bob, 'The second secret')
    await bubble(alice, 'The second secret').waitFor()
    await does(bubble(bob, 'The first secret'), 'Reply')
    await say(bob, 'A third one')
    await bubble(alice, 'A third one').locator('.quote', { hasText: 'The first secret' }).waitFor()
    await edit(bob, 'A third one', 'A better third one')
    await bubble(alice, 'A better third one').getByText('edited').waitFor()

    const texts = ['The first secret', 'The second secret', 'A better third one']
    const { messages } = await stored('alice', null)
    expect(messages.map((m) => m.sender_id)).toEqual(['alice', 'bob', 'bob'])
    for (const { ciphertext } of messages) {
      const bytes = Buffer.from(ciphertext, 'base64')
      expect([...bytes.subarray(0, 4)], 'a private message of MLS').toEqual([0, 1, 0, 2])
      for (const text of [...texts, 'secret', 'third']) {
        expect(bytes.includes(text)).toBe(false)
        expect(bytes.toString('latin1')).not.toContain(base64(text).replace(/=+$/, ''))
        expect(ciphertext).not.toContain(base64(text).replace(/=+$/, ''))
      }
    }
    for (const side of [alice, bob]) expect(await side.locator('article.row .text').allTextContents()).toEqual(texts)
  })

  test('both see the same safety number, and what it is worth', async () => {
    const seen = await digitsOf(pane('Alice'), 'Bob')
    expect(seen.join(' ')).toMatch(/^(\d{5} ){11}\d{5}$/)
    for (const fact of ['trusted on first use', 'who writes to whom, when and how much', 'was audited']) await page.getByRole('dialog').getByText(fact).waitFor()
    await noViolations(page)
    await page.keyboard.press('Escape')
    expect(await digitsOf(pane('Bob'), 'Alice')).toEqual(seen)
    await page.getByRole('button', { name: 'Alice sees the same' }).click()
    await page.getByRole('dialog').getByText('Compared').waitFor()
    await noViolations(page)
    await page.keyboard.press('Escape')
  })

  test('what is written offline is kept and sent encrypted, and a reload reads the history', async () => {
    const [alice, bob] = [pane('Alice'), pane('Bob')]
    await menu(alice.getByLabel('Connection'), 'Go offline')
    await say(alice, 'Written on a plane')
    await bubble(alice, 'Written on a plane').getByLabel('sending').waitFor()
    const waiting = await page.evaluate(() => new Promise<string[]>((resolve) => {
      indexedDB.open('parley-alice').onsuccess = (event) => {
        const db = (event.target as IDBOpenDBRequest).result
        db.transaction('outgoing').objectStore('outgoing').getAll().onsuccess = (got) => {
          resolve((got.target as IDBRequest<{ body: { ciphertext: string } }[]>).result.map((item) => item.body.ciphertext))
          db.close()
        }
      }
    }))
    expect(waiting).toHaveLength(1)
    expect(Buffer.from(waiting[0]!, 'base64').includes('plane')).toBe(false)

    await page.reload()
    await bubble(bob, 'Written on a plane').waitFor()
    for (const side of [alice, bob]) {
      for (const text of ['The first secret', 'The second secret', 'A better third one', 'Written on a plane']) await bubble(side, text).waitFor()
    }
    await bubble(alice, 'Written on a plane').getByLabel(/Details/).waitFor()
    const { messages } = await stored('alice', null)
    expect(messages.map((m) => m.ciphertext).filter((c) => c === waiting[0]), 'what the outbox had, once').toHaveLength(1)

    await bob.getByLabel('Search conversations and messages').fill('plane')
    await bob.locator('.threads-label + li', { hasText: 'Written on a plane' }).waitFor()
    await bob.getByLabel('Search conversations and messages').fill('')
  })

  test('the inspector shows a ciphertext beside its text, and a commit', async () => {
    const alice = pane('Alice')
    await alice.getByLabel('Inspector', { exact: true }).click()
    await say(alice, 'Look inside')
    await bubble(alice, 'Look inside').getByLabel(/Details/).waitFor()
    await alice.locator('.entry.rest', { hasText: /POST threads.*messages/ }).first().getByRole('button').click()
    const written = alice.locator('.written')
    await written.getByText('Look inside').waitFor()
    expect(await written.locator('.cipher').textContent()).toMatch(/^AAEAA/)
    await begin(alice, 'Bob', 'Carol')
    await alice.locator('.entry.rest', { hasText: 'commit, epoch 1' }).first().getByRole('button').click()
    await alice.getByText('a commit that begins epoch 1, with a welcome').waitFor()
    await noViolations(page)
    await alice.getByLabel('Close the inspector').click()
  })

  test('who comes later reads what follows, and who lost its keys is let in anew', async () => {
    const [alice, bob] = [pane('Alice'), pane('Bob')]
    await alice.getByText('Carol has no device with encryption yet, and cannot read').waitFor()
    await say(alice, 'Before Carol')
    await bob.locator('.thread', { hasText: 'Bob and Carol' }).click()
    await bubble(bob, 'Before Carol').waitFor()

    // Her page asks to be let in, and nobody has to write for that.
    const tab = await opened(`${server.url}/?as=carol`)
    const carol = pane('Carol', tab)
    await accept('carol', 'Bob and Carol')
    await carol.locator('.thread', { hasText: 'Bob and Carol' }).click()
    await bubble(carol, 'Sent before this device was let in').waitFor()
    await carol.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await say(carol, 'Carol is here')
    for (const side of [alice, bob, carol]) await bubble(side, 'Carol is here').waitFor()
    expect(await carol.getByText('Before Carol').count()).toBe(0)
    await alice.getByText('Carol has no device').waitFor({ state: 'detached' })
    const before = await digitsOf(alice, 'Carol')
    await page.getByRole('button', { name: 'Carol sees the same' }).click()
    await page.keyboard.press('Escape')

    // Her browser forgets everything but which device it is.
    await tab.goto(`${server.url}/docs`)
    await tab.evaluate(async () => {
      const hers = (await indexedDB.databases()).map(({ name }) => name!).filter((name) => name.includes('carol'))
      await Promise.all(hers.map((name) => new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase(name)
        request.onsuccess = resolve
        request.onerror = request.onblocked = reject
      })))
    })
    await tab.goto(`${server.url}/?as=carol`)
    await carol.locator('.thread', { hasText: 'Bob and Carol' }).click()
    await page.getByText('A device of Carol has a new key').first().waitFor()
    await carol.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await say(carol, 'Back with new keys')
    for (const side of [alice, bob, carol]) await bubble(side, 'Back with new keys').waitFor()
    expect(await carol.getByText('Carol is here').count()).toBe(0)
    await page.bringToFront()
    await alice.getByText('The safety number with Carol is another than the one you compared').waitFor()
    await alice.getByRole('button', { name: 'Compare again' }).click()
    await page.getByText('It is another than the one you compared.').waitFor()
    expect(await page.getByLabel('Safety number of you and Carol').getByRole('listitem').allTextContents()).not.toEqual(before)
    await page.getByRole('button', { name: 'Carol sees the same' }).click()
    await page.keyboard.press('Escape')
    await alice.getByText('The safety number with Carol').waitFor({ state: 'detached' })
    await say(alice, 'Welcome back')
    await bubble(carol, 'Welcome back').waitFor()

    // And is put out.
    await menu(alice.getByLabel('Conversation', { exact: true }), 'Members and title')
    await noViolations(page) // of the group
    await page.getByLabel('Carol: change').click()
    await noViolations(page) // and of a menu in it
    await page.getByRole('menuitem', { name: 'Remove' }).dispatchEvent('click')
    await page.keyboard.press('Escape')
    await carol.locator('.thread', { hasText: 'Bob and Carol' }).waitFor({ state: 'detached' })
    await say(alice, 'Without Carol')
    await bubble(bob, 'Without Carol').waitFor()
    await digitsOf(alice, 'Bob')
    expect(await page.getByLabel('Safety number of you and Carol').count()).toBe(0)
    await page.keyboard.press('Escape')

    // Somebody who was never there is put in, and sees nothing of before.
    await menu(alice.getByLabel('Conversation', { exact: true }), 'Members and title')
    await page.getByLabel('User id to add').fill('carol')
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('dialog').getByText('Carol').waitFor()
    await page.keyboard.press('Escape')
    await say(alice, 'You are in again')
    await tab.bringToFront()
    await carol.getByLabel('Search conversations and messages').fill('Bob and') // wherever it is listed
    await carol.locator('.thread', { hasText: 'Bob and Carol' }).click()
    await bubble(carol, 'You are in again').waitFor()
    await carol.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    expect(await carol.getByText('Without Carol').count()).toBe(0)
    await tab.close()
  })

  test('whom nobody can encrypt for is written to without encryption only by choice', async () => {
    const alice = pane('Alice')
    await alice.getByLabel('New conversation').click()
    await page.getByLabel('User id', { exact: true }).fill('dave')
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('button', { name: 'Start' }).click()
    await alice.getByText('Dave has no device with encryption yet').waitFor()
    await alice.getByRole('button', { name: 'Write without encryption' }).click()
    await alice.getByLabel('Not encrypted. Details').waitFor()
    await say(alice, 'Hello Dave')
    await bubble(alice, 'Hello Dave').getByLabel(/Details/).waitFor()
    await noViolations(page)
    expect(await alice.getByText('Encrypt from now on').count()).toBe(0)
  })

  test('what other clients send unencrypted is shown as that', async () => {
    const alice = pane('Alice')
    const { id } = await call<{ id: string }>('carol', 'POST', '/v1/threads', { type: 'GROUP', participants: ['alice', 'bob'], title: 'From a script' })
    const send = (thread: string, user: string, text: string, seq: number) =>
      call(user, 'POST', `/v1/threads/${thread}/messages`, { client_seq: seq, ciphertext: base64(text), content_type: 'text' }, `script-${seq}`)
    await send(id, 'carol', 'A script says hello', 1)
    await accept('alice', 'From a script')
    await alice.locator('.thread', { hasText: 'From a script' }).click()
    await bubble(alice, 'A script says hello').waitFor()
    await alice.getByLabel('Not encrypted. Details').waitFor()
    await say(alice, 'In the clear')
    await bubble(alice, 'In the clear').getByLabel(/Details/).waitFor()
    expect((await stored('alice', 'From a script')).messages.at(-1)!.ciphertext).toBe(base64('In the clear'))

    await alice.getByRole('button', { name: 'Encrypt from now on' }).click()
    await alice.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await say(alice, 'Sealed now')
    await bubble(alice, 'Sealed now').getByLabel(/Details/).waitFor()
    await send(id, 'carol', 'The script goes on', 2)
    await bubble(alice, 'The script goes on').getByText('not encrypted').waitFor()
    expect(await bubble(alice, 'Sealed now').getByText('not encrypted').count()).toBe(0)
    expect((await stored('alice', 'From a script')).messages[2]!.ciphertext).toMatch(/^AAEAA/)

    // Wherever it is shown.
    await alice.locator('.thread', { hasText: 'From a script' }).getByLabel('not encrypted').waitFor()
    await does(bubble(alice, 'The script goes on'), 'Pin')
    await alice.locator('.pinned', { hasText: 'The script goes on' }).getByText('not encrypted').waitFor()
    await does(bubble(alice, 'The script goes on'), 'Reply')
    await alice.locator('.about', { hasText: 'The script goes on' }).getByLabel('not encrypted').waitFor()
    await noViolations(page)
    await say(alice, 'An encrypted answer')
    await bubble(alice, 'An encrypted answer').locator('.quote').getByText('not encrypted').waitFor()
    await alice.getByLabel('Search conversations and messages').fill('script goes')
    await alice.locator('.found-message').getByLabel('not encrypted').waitFor()
    await noViolations(page)
    await alice.getByLabel('Search conversations and messages').fill('')
    await does(alice.locator('article.row', { hasText: 'The script goes on' }).first(), 'Details')
    await page.getByRole('dialog').getByLabel('not encrypted').waitFor()
    await page.keyboard.press('Escape')
  })

  test('what was encrypted once is never plain again, whatever the server says', async () => {
    const tab = await visitors.page()
    await open(tab, `${server.url}/?as=carol`)
    const carol = pane('Carol', tab)
    await carol.locator('.thread', { hasText: 'From a script' }).click()
    await carol.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    visitors.expected = /ERR_FAILED/
    await tab.route('**/assets/mls-*', (route) => route.abort())
    await tab.route('**/v1/threads**', async (route) => {
      try {
        const response = await route.fetch()
        const body = await response.text()
        await route.fulfill({ response, body: body.replace(/"epoch": ?\d+/g, '"epoch":0') })
      } catch (error) {
        if (!tab.isClosed() && !String(error).includes('disposed')) throw error // the page has gone on without it
      }
    })
    await tab.reload()
    await carol.locator('.thread', { hasText: 'From a script' }).click()
    await carol.getByText('Encryption does not work here').waitFor()
    await carol.getByText('Connected').waitFor()
    await carol.getByLabel('To be encrypted. Details').waitFor()
    await carol.getByLabel('Message', { exact: true }).fill('Not in the clear')
    expect(await carol.getByLabel('Send', { exact: true }).isDisabled()).toBe(true)
    expect(await carol.getByRole('button', { name: 'without encryption' }).count()).toBe(0)
    await bubble(carol, 'The script goes on').getByText('not encrypted').waitFor()
    await carol.locator('.thread', { hasText: 'From a script' }).waitFor()
    await noViolations(tab)

    // A browser that has not seen it encrypted believes the server.
    await tab.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('/encrypted/')).forEach((key) => localStorage.removeItem(key)))
    await tab.reload()
    await carol.locator('.thread', { hasText: 'From a script' }).click()
    await carol.getByLabel('Not encrypted. Details').waitFor()
    visitors.expected = undefined
    await tab.context().close()
  })

  test('two tabs of one device have the keys one after the other', async () => {
    const [alice, bob] = [pane('Alice'), pane('Bob')]
    for (const side of [alice, bob]) await side.locator('.thread', { hasText: 'Look inside' }).click()
    const tab = await opened(`${server.url}/?as=alice`)
    const other = pane('Alice', tab)
    await other.locator('.thread', { hasText: 'Look inside' }).click()
    await other.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await alice.getByText('Alice is open in another tab').waitFor()
    await alice.getByText('in use in another tab').first().waitFor()
    await say(other, 'From the other tab')
    await bubble(bob, 'From the other tab').waitFor()
    await page.bringToFront()
    await alice.getByRole('button', { name: 'Use here' }).click()
    await alice.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    await other.getByText('Alice is open in another tab').waitFor()
    await say(alice, 'From the first tab')
    await bubble(bob, 'From the first tab').waitFor()
    await say(bob, 'I read both')
    await bubble(alice, 'I read both').waitFor()
    await bubble(alice, 'From the other tab').waitFor()
    await tab.close()
  })

  test('of two tabs that open at once, one has the keys', async () => {
    const context = page.context()
    const alice = pane('Alice')
    for (let i = 0; i < 3; i++) {
      const tabs = await Promise.all([context.newPage(), context.newPage()])
      for (const tab of tabs) visitors.watch(tab)
      await Promise.all(tabs.map((tab) => tab.goto(`${server.url}/?as=alice`)))
      const others = tabs.map((tab) => pane('Alice', tab))
      await Promise.all(others.map((other) => listed(other, /^Bob$/).locator('.thread').click()))
      const holders = async () => {
        const sides = [alice, ...others]
        const having = await Promise.all(sides.map((side) => side.getByLabel('Encrypted. Details', { exact: true }).count()))
        const without = await Promise.all(sides.map((side) => side.getByText('The keys of this conversation are in use in another tab').count()))
        return [having, without].map((counts) => counts.reduce((a, b) => a + b)).join()
      }
      await until('one tab that has the keys', async () => (await holders()) === '1,2')
      for (const tab of tabs) await tab.close()
      await alice.getByRole('button', { name: 'Use them here' }).click()
      await alice.getByLabel('Encrypted. Details', { exact: true }).waitFor()
    }
    await alice.getByRole('button', { name: 'Use here', exact: true }).click()
    await alice.getByText('Connected').waitFor()
  })

  test('nothing was wrong all along', () => expect(visitors.trouble).toEqual([]))
})
