// The demo page with a long conversation: how smoothly it scrolls is printed, not judged. PARLEY_LONG makes it ten times as long.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeText } from '../src/index.js'
import { bubble, executablePath, listed, pane, Visitors } from './browser.js'
import { Server, token } from './server.js'

const COUNT = process.env.PARLEY_LONG ? 10_000 : 1_000
const AT_ONCE = 16

describe.skipIf(!executablePath)('in a browser', () => {
  const server = new Server('--demo')
  const visitors = new Visitors(() => server.url)
  beforeAll(async () => {
    await server.start()
    await visitors.start()
  }, 120_000)
  afterAll(async () => {
    await visitors.stop()
    await server.remove()
  })

  test('thousands of messages', async () => {
    const post = async <T>(path: string, body: object): Promise<T> => {
      const headers = { Authorization: `Bearer ${token('bob')}`, 'X-Device-Id': 'script', 'Content-Type': 'application/json', 'Idempotency-Key': crypto.randomUUID() }
      const answer = await fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
      expect(answer.status).toBeLessThan(300)
      return (await answer.json()) as T
    }
    const { id } = await post<{ id: string }>('/v1/threads', { type: '1_TO_1', participants: ['alice'] })
    let sent = 0
    const send = async () => {
      const n = ++sent
      return post<{ id: string }>(`/v1/threads/${id}/messages`, { client_seq: n, ciphertext: encodeText(`Message ${n}. ${'It goes on and on. '.repeat(n % 7)}`), content_type: 'text' })
    }
    const first = await send()
    await post(`/v1/threads/${id}/pins`, { message_id: first.id })
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (sent < COUNT - 1) await send()
    }))
    await send()

    const page = await visitors.page()
    await page.goto(server.url)
    await page.getByLabel('Token (JWT)').fill(token('alice'))
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    const alice = pane(page, 'Alice')
    await bubble(alice, `Message ${COUNT}.`).waitFor()
    const began = Date.now()
    await alice.locator('.pinned button').first().click() // the first message, behind all others
    await alice.locator('article.row.found', { hasText: 'Message 1.' }).waitFor()
    console.log(`from the newest of ${COUNT} messages to the first in ${Date.now() - began} ms`)
    expect(await alice.locator('article.row').count(), 'rows in the page').toBeLessThan(100)

    const measured = await alice.locator('.messages').evaluate(async (box, steps) => {
      const times: number[] = []
      for (let i = 0, last = performance.now(); i < steps; i++) {
        box.scrollTop += 300
        const now = await new Promise<number>((resolve) => requestAnimationFrame(resolve))
        times.push(now - last)
        last = now
      }
      times.sort((a, b) => a - b)
      return { fps: 1000 / (times.reduce((a, b) => a + b) / steps), slowest: times.at(-1)!, most: times[Math.floor(steps * 0.95)]!, rows: box.querySelectorAll('article').length }
    }, COUNT / 40)
    console.log(`scrolling: ${measured.fps.toFixed(0)} frames a second, 95% within ${measured.most.toFixed(0)} ms, the slowest ${measured.slowest.toFixed(0)} ms`)
    expect(measured.rows, 'rows in the page').toBeLessThan(100)

    await alice.getByLabel('To the newest message').click()
    await bubble(alice, `Message ${COUNT}.`).waitFor()
    await alice.getByLabel('Search conversations and messages').fill(`message ${COUNT / 2}.`)
    await alice.locator('.found-message', { hasText: `Message ${COUNT / 2}.` }).click()
    await alice.locator('article.row.found', { hasText: `Message ${COUNT / 2}.` }).waitFor()
    await alice.getByLabel('Clear the search').click()
    await listed(alice, 'Bob').waitFor()
    expect(visitors.trouble).toEqual([])
  })
})
