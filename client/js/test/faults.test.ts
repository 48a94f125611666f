import { isDeepStrictEqual } from 'node:util'
import 'fake-indexeddb/auto'
import WebSocket from 'ws'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client, encodeText, jsonTransport, MemoryStorage, type Message, type StoredMessage } from '../src/index.js'
import { IndexedDBStorage } from '../src/indexeddb.js'
import { mqttTransport } from '../src/mqtt.js'
import { FaultProxy, random } from './faultproxy.js'
import { Server, token, until } from './server.js'

const seed = Number(process.env.PARLEY_SEED ?? Math.floor(Math.random() * 1e9))
const steps = Number(process.env.PARLEY_FAULT_STEPS ?? 150)

const server = new Server()
let proxy: FaultProxy
let url: string
const clients: Client[] = []
beforeAll(async () => {
  await server.start()
  proxy = new FaultProxy(server.port, seed)
  url = await proxy.start()
})
afterAll(async () => {
  for (const client of clients) client.close()
  proxy.stop()
  await server.remove()
})

/** What is compared of a message. */
const essence = (m: Message | StoredMessage) => ({
  id: m.id, seq: m.seq, sender: m.sender_id, ciphertext: m.ciphertext, deleted: m.deleted, edited: m.edited_at, reply: m.reply_to_msg_id,
  reactions: m.reactions.map((r) => `${r.emoji} ${r.by.toSorted().join()}`).sort(),
})

async function ofServer(client: Client, thread: string) {
  const all: Message[] = []
  for (let cursor: string | undefined; ; ) {
    const page = await client.rest.get<{ messages: Message[]; next_cursor: string | null }>(`/v1/threads/${thread}/messages`, { page_size: 100, cursor })
    all.unshift(...page.messages.reverse())
    if (page.next_cursor === null) return all.map(essence)
    cursor = page.next_cursor
  }
}

async function ofLog(client: Client, thread: string) {
  while (await client.thread(thread).loadOlder());
  return client.thread(thread).view.getSnapshot().messages.map(essence)
}

test(`whatever the network does, every log is the server's at the end (PARLEY_SEED=${seed})`, async () => {
  const draw = random(seed)
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(draw() * list.length)]
  const people = ['ann', 'ben', 'cleo', 'dan']
  const transports = [jsonTransport({ WebSocket: WebSocket as never }), mqttTransport()]
  for (const [i, userId] of people.entries()) {
    const storage = i < 2 ? new IndexedDBStorage(userId) : new MemoryStorage()
    clients.push(new Client({ url, userId, deviceId: 'faulty', token: () => token(userId), storage, transport: transports[i % 2]! }))
  }
  proxy.faults = false
  for (const client of clients) await client.connect()
  await until('all online', () => clients.every((c) => c.getSnapshot().state === 'online'))
  const group = await clients[0]!.createThread('GROUP', people.slice(1))
  const couple = await clients[0]!.createThread('1_TO_1', ['ben'])
  proxy.faults = true
  const impatience = setInterval(() => clients.forEach((c) => c.hurry()), 150)

  const sent = new Set<string>()
  for (let step = 0; step < steps; step++) {
    const client = pick(clients)!
    const thread = clients.indexOf(client) < 2 && draw() < 0.3 ? couple : group
    const messages = client.thread(thread).view.getSnapshot().messages
    const own = pick(messages.filter((m) => m.sender_id === client.userId && !m.deleted))
    const any = pick(messages)
    const drawn = draw()
    // Calls that the network breaks are repeated by the client, in the end given up: both are fine here.
    const attempt = (call: Promise<unknown>) => void call.catch(() => {})
    if (drawn < 0.55) {
      const text = `${client.userId} ${step}`
      sent.add(text)
      await client.sendText(thread, text, any && draw() < 0.2 ? { replyTo: any.id } : {})
    } else if (drawn < 0.65 && own) attempt(client.edit(thread, own.id, encodeText(`edited ${step}`)))
    else if (drawn < 0.7 && own) attempt(client.delete(thread, own.id))
    else if (drawn < 0.85 && any) attempt(client.react(thread, any.id, pick(['👍', '🎉', '❤️'])!))
    else if (drawn < 0.9 && any) attempt(client.unreact(thread, any.id, '👍'))
    else if (drawn < 0.95 && any) attempt(client.read(thread, any.id))
    else client.cut()
    if (step % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 30))
  }
  proxy.faults = false
  await until('everything sent', () => clients.every((c) => c.getSnapshot().outgoing === 0))
  clearInterval(impatience)

  for (const client of clients) {
    for (const thread of client.userId === 'ann' || client.userId === 'ben' ? [group, couple] : [group]) {
      const want = await until('a quiet server', async () => {
        const before = await ofServer(client, thread)
        await new Promise((resolve) => setTimeout(resolve, 100))
        return JSON.stringify(before) === JSON.stringify(await ofServer(client, thread)) ? before : undefined
      })
      await until(`the log of ${client.userId}`, async () => JSON.stringify(await ofLog(client, thread)) === JSON.stringify(want)).catch(() => {})
      expect(await ofLog(client, thread), `the log of ${client.userId}`).toEqual(want)
      await until('the participants as the server has them, whose marks may still rise', async () => {
        await client.thread(thread).refresh()
        const { participants } = await client.rest.get<{ participants: unknown[] }>(`/v1/threads/${thread}`)
        return isDeepStrictEqual(client.thread(thread).view.getSnapshot().participants, participants)
      })
    }
  }
  const stored = (await ofServer(clients[0]!, group)).length + (await ofServer(clients[0]!, couple)).length
  expect(stored).toBe(sent.size)
  console.log(`${stored} messages of 4 clients through ${proxy.cuts} cuts: all logs equal to the server's`)
})
