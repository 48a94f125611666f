import { IDBFactory } from 'fake-indexeddb'
import 'fake-indexeddb/auto'
import WebSocket from 'ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, decodeText, encodeText, jsonTransport, MemoryStorage, progressOf, type ClientOptions, type Outgoing, type Transport } from '../src/index.js'
import { IndexedDBStorage } from '../src/indexeddb.js'
import { mqttTransport } from '../src/mqtt.js'
import { Server, token, until } from './server.js'

const server = new Server()
const clients: Client[] = []
beforeAll(() => server.start())
afterAll(async () => {
  for (const client of clients) client.close()
  await server.remove()
})

const json = () => jsonTransport({ WebSocket: WebSocket as never })
let people = 0
const person = () => `person${++people}`

function client(userId: string, options: Partial<ClientOptions> = {}): Client {
  const made = new Client({ url: server.url, userId, deviceId: 'test', token: () => token(userId), transport: json(), ...options })
  clients.push(made)
  return made
}

const texts = (c: Client, thread: string) => c.thread(thread).view.getSnapshot().messages.map((m) => (m.deleted ? '†' : decodeText(m.ciphertext)))
const online = (c: Client) => until(`${c.userId} online`, () => c.getSnapshot().state === 'online')

/** Two connected people with a thread. */
async function pair(transport: () => Transport = json) {
  const [a, b] = [client(person(), { transport: transport() }), client(person(), { transport: transport() })]
  await Promise.all([a.connect(), b.connect()])
  await Promise.all([online(a), online(b)])
  return { a, b, thread: await a.createThread('1_TO_1', [b.userId]) }
}

describe.each([['JSON', json], ['MQTT', () => mqttTransport()]] as const)('over %s', (_, transport) => {
  test('what one does, the other sees', async () => {
    const { a, b, thread } = await pair(transport)
    await a.sendText(thread, 'hello')
    await until('the message', () => texts(b, thread).join() === 'hello')
    expect(b.thread(thread).view.getSnapshot().unread).toBe(1)
    const [message] = b.thread(thread).view.getSnapshot().messages
    await until('its answer', () => texts(a, thread).length === 1) // the frame may be there before
    const progress = () => progressOf(a.thread(thread).view.getSnapshot().messages[0]!, a.thread(thread).view.getSnapshot().participants).state
    await until('delivered', () => progress() === 'delivered')

    await b.read(thread, message!.id)
    expect(b.thread(thread).view.getSnapshot().unread).toBe(0)
    await until('read', () => progress() === 'read')

    await b.react(thread, message!.id, '👍')
    await until('the reaction', () => a.thread(thread).view.getSnapshot().messages[0]!.reactions[0]?.emoji === '👍')
    expect(b.thread(thread).view.getSnapshot().messages[0]!.reactions[0]?.by).toEqual([b.userId])
    await b.pin(thread, message!.id)
    await until('the pin', () => a.thread(thread).view.getSnapshot().pins[0]?.message_id === message!.id)
    await a.edit(thread, message!.id, encodeText('hello!'))
    await until('the edit', () => texts(b, thread).join() === 'hello!')

    a.typing(thread)
    await until('typing', () => b.thread(thread).view.getSnapshot().typing.includes(a.userId))
    await b.sendText(thread, 'hi', { replyTo: message!.id })
    await until('the reply', () => a.thread(thread).view.getSnapshot().messages[1]?.reply_to_msg_id === message!.id)
    await a.delete(thread, message!.id)
    await until('the deletion', () => texts(b, thread).join() === '†,hi')
    expect(b.thread(thread).view.getSnapshot().pins).toEqual([])
    expect(b.getSnapshot().presence[a.userId]?.status).toBe('online')
  })

  test.each(['kept', 'edited', 'deleted'])('a message with the client_seq of another that was %s is sent', async (since) => {
    const storage = new MemoryStorage()
    const a = client(person(), { transport: transport(), storage })
    const thread = await a.createThread('GROUP', [])
    const used = Date.now() + 3_600_000 // above all that the clock gives
    const { body: other } = await a.rest.request<{ id: string }>('POST', `/v1/threads/${thread}/messages`, {
      body: { client_seq: used, ciphertext: encodeText('other'), content_type: 'text' }, idempotencyKey: 'other',
    })
    if (since === 'edited') await a.edit(thread, other.id, encodeText('better'))
    if (since === 'deleted') await a.delete(thread, other.id)
    await storage.write({ outgoing: [{
      n: 1, threadId: thread, key: 'poisoned', body: { client_seq: used - 1, ciphertext: '', content_type: 'text' },
      createdAt: new Date().toISOString(), attempts: 1, problem: { code: 'test', detail: '' },
    }] })
    await a.connect()
    await online(a)
    await a.sendText(thread, 'mine')
    await until('sent', () => a.getSnapshot().outgoing === 1) // the poisoned one stays
    const { messages } = await a.rest.get<{ messages: { ciphertext: string }[] }>(`/v1/threads/${thread}/messages`)
    expect(messages.map((m) => decodeText(m.ciphertext))).toEqual(['mine', { kept: 'other', edited: 'better', deleted: '' }[since]])
  })

  test('a device that was away gets all, once and in order', async () => {
    const { a, b, thread } = await pair(transport)
    await a.sendText(thread, 'before')
    await until('the first message', () => texts(b, thread).length === 1)
    b.disconnect()
    for (let i = 0; i < 120; i++) await a.sendText(thread, String(i))
    await until('all sent', () => a.getSnapshot().outgoing === 0)
    await b.connect()
    await until('all', () => texts(b, thread).length === 121)
    expect(texts(b, thread)).toEqual(['before', ...Array.from({ length: 120 }, (_, i) => String(i))])
    expect(texts(a, thread)).toEqual(texts(b, thread))
  })
})

test('a group: members come and go', async () => {
  const [a, b, c] = [client(person()), client(person()), client(person())]
  for (const each of [a, b, c]) await each.connect()
  for (const each of [a, b, c]) await online(each)
  const group = await a.createThread('GROUP', [b.userId], 'Hiking')
  await until('the group', () => b.getSnapshot().threads.some((t) => t.id === group && t.thread.title === 'Hiking'))
  await a.addParticipant(group, c.userId)
  await until('the third', () => b.thread(group).view.getSnapshot().participants.length === 3)
  await until('the group at the third', () => c.getSnapshot().threads.length === 1)
  await a.setTitle(group, 'Walking')
  await until('the title', () => c.thread(group).view.getSnapshot().thread?.title === 'Walking')
  await a.removeParticipant(group, b.userId)
  await until('the removal', () => b.thread(group).view.getSnapshot().left)
  expect(a.thread(group).view.getSnapshot().participants.map((p) => p.user_id)).toEqual([a.userId, c.userId])
})

test('who comes back into a group has nothing of before to read', async () => {
  const { a, b } = await pair()
  const group = await a.createThread('GROUP', [b.userId, person()])
  await a.sendText(group, 'before')
  const unread = () => b.getSnapshot().threads.find((t) => t.id === group)?.unread
  await until('the first', () => unread() === 1)
  await b.read(group, b.thread(group).newest!.id)
  await a.removeParticipant(group, b.userId)
  await until('the removal', () => b.thread(group).view.getSnapshot().left)
  await a.addParticipant(group, b.userId)
  await until('back', () => !b.thread(group).view.getSnapshot().left)
  expect(unread()).toBe(0)
  await a.sendText(group, 'after')
  await until('the second', () => unread() === 1)
  await b.read(group, b.thread(group).newest!.id)
  await until('read', () => unread() === 0)
})

test('the log and the outbox survive a reload', async () => {
  const [a, b] = [person(), client(person())]
  const factory = new IDBFactory()
  const first = client(a, { storage: new IndexedDBStorage('log', factory) })
  await Promise.all([first.connect(), b.connect()])
  await Promise.all([online(first), online(b)])
  const thread = await first.createThread('1_TO_1', [b.userId])
  await first.sendText(thread, 'one')
  await until('sent', () => first.getSnapshot().outgoing === 0)
  first.disconnect()
  await first.sendText(thread, 'two') // while offline
  await first.sendText(thread, 'three')
  first.close()

  const second = client(a, { storage: new IndexedDBStorage('log', factory) })
  await second.load()
  expect(texts(second, thread)).toEqual(['one'])
  expect(second.thread(thread).view.getSnapshot().outgoing.map((o) => decodeText(o.body.ciphertext))).toEqual(['two', 'three'])
  await second.connect()
  await until('all', () => texts(b, thread).join() === 'one,two,three')
  await until('the outbox is empty', () => second.getSnapshot().outgoing === 0)
  expect(texts(second, thread)).toEqual(['one', 'two', 'three'])
})

test('a message that can never be sent is told, and holds up nothing', async () => {
  const { a, b, thread } = await pair()
  const poisoned: Outgoing[] = []
  a.events.on('poisoned', (item) => poisoned.push(item))
  await a.send(thread, encodeText('x'.repeat(70_000)))
  await a.sendText(thread, 'short')
  await until('what came after it', () => texts(b, thread).join() === 'short')
  expect(poisoned.map((p) => p.problem?.code)).toEqual(['ciphertext_too_large'])
  await a.discard(poisoned[0]!.n)
  expect(a.getSnapshot().outgoing).toBe(0)
})

test('every try of a message has the same key, and it is stored once', async () => {
  const keys: (string | null)[] = []
  const flaky: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (init?.method !== 'POST' || !String(input).endsWith('/messages')) return response
    keys.push(new Headers(init.headers).get('Idempotency-Key'))
    if (keys.length < 3) throw new TypeError('the answer was lost')
    return response
  }
  const [a, b] = [client(person(), { fetch: flaky }), client(person())]
  await Promise.all([a.connect(), b.connect()])
  await online(a)
  const thread = await a.createThread('1_TO_1', [b.userId])
  await a.sendText(thread, 'once')
  await until('sent', () => a.getSnapshot().outgoing === 0)
  expect(new Set(keys).size).toBe(1)
  expect(keys.length).toBe(3)
  const { messages } = await a.rest.get<{ messages: unknown[] }>(`/v1/threads/${thread}/messages`)
  expect(messages.length).toBe(1)
})

test('what is sent again after a reload, with what was kept of it, is the same message', async () => {
  const [a, b] = [person(), client(person())]
  const factory = new IDBFactory()
  const first = client(a, { storage: new IndexedDBStorage('log', factory) })
  await Promise.all([first.connect(), b.connect()])
  await Promise.all([online(first), online(b)])
  const thread = await first.createThread('1_TO_1', [b.userId])
  const [once, other] = [first.nextOnce(), first.nextOnce()]
  first.disconnect()
  for (let i = 0; i < 2; i++) await first.sendText(thread, 'one', { once })
  await first.sendText(thread, 'two', { once: other })
  expect(first.getSnapshot().outgoing).toBe(2)
  first.close()

  const second = client(a, { storage: new IndexedDBStorage('log', factory) })
  await second.load()
  await second.sendText(thread, 'one', { once }) // it is in the outbox
  expect(second.getSnapshot().outgoing).toBe(2)
  await second.connect()
  await until('both', () => texts(b, thread).join() === 'one,two')
  await second.sendText(thread, 'one', { once }) // the server has it
  await second.sendText(thread, 'three')
  await until('what came after it', () => texts(b, thread).join() === 'one,two,three')
  expect(texts(second, thread)).toEqual(['one', 'two', 'three'])
  expect(second.getSnapshot().outgoing).toBe(0)
})

test('history comes page by page', async () => {
  const { a, b, thread } = await pair()
  for (let i = 0; i < 130; i++) await a.sendText(thread, String(i))
  await until('all sent', () => a.getSnapshot().outgoing === 0)
  const late = client(b.userId, { deviceId: 'other' })
  await late.connect()
  await late.thread(thread).open()
  expect(texts(late, thread).length).toBe(50)
  while (await late.thread(thread).loadOlder());
  expect(texts(late, thread)).toEqual(Array.from({ length: 130 }, (_, i) => String(i)))
})

test('a newer connection of the device takes over', async () => {
  const a = client(person())
  await a.connect()
  await online(a)
  const other = client(a.userId)
  await other.connect()
  await online(other)
  await until('it is told', () => a.getSnapshot().state === 'taken_over')
})

test('a token is renewed before its end, and nothing is lost', async () => {
  let asked = 0
  const a = client(person(), { token: () => token(`person${people}`, ++asked === 1 ? 2 : 3600) })
  await a.connect()
  await online(a)
  await until('renewed', () => asked >= 2)
  await new Promise((resolve) => setTimeout(resolve, 2500)) // past the end of the first one
  await online(a)
})

test('a renewed token is shown to nobody who watches the wire', async () => {
  for (const transport of [json, () => mqttTransport()]) {
    const seen: string[] = []
    const a = client(person(), {
      transport: transport(), token: () => token(`person${people}`, 5), onWire: (_, data) => seen.push(JSON.stringify(data)),
    })
    await a.connect()
    await online(a)
    await until('the renewal', () => seen.some((s) => s.includes('(a token)')))
    expect(seen.filter((s) => s.includes('eyJ'))).toEqual([])
  }
})

test('another store: the log is read anew', async () => {
  const storage = new MemoryStorage()
  const { a, b, thread } = await pair()
  await a.sendText(thread, 'kept by the server')
  await until('sent', () => texts(b, thread).length === 1)
  await storage.write({
    storeId: 'another', threads: [{ ...structuredClone(b.thread(thread).record!), id: 'gone' }],
  })
  const late = client(b.userId, { storage, deviceId: 'restored' })
  await late.load()
  expect(late.getSnapshot().threads.map((t) => t.id)).toEqual(['gone'])
  await late.connect()
  await until('read anew', () => late.getSnapshot().threads.map((t) => t.id).join() === thread)
  expect(texts(late, thread)).toEqual(['kept by the server'])
})
