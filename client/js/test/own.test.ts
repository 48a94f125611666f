// What a user keeps for itself: its state of threads, its devices, whom it blocks, what it reports.
import WebSocket from 'ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, decodeText, progressOf, jsonTransport, MemoryStorage, type ClientOptions, type Frame, type Transport } from '../src/index.js'
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
const person = () => `owner${++people}`

async function online(userId: string, deviceId = 'phone', options: Partial<ClientOptions> = {}): Promise<Client> {
  const made = new Client({ url: server.url, userId, deviceId, token: () => token(userId), transport: json(), ...options })
  clients.push(made)
  await made.connect()
  await until(`${userId} online`, () => made.getSnapshot().state === 'online')
  return made
}
const summary = (c: Client, thread: string) => c.getSnapshot().threads.find((t) => t.id === thread)
const me = (c: Client, thread: string) => summary(c, thread)?.thread.me

describe.each([['JSON', json], ['MQTT', () => mqttTransport()]] as const)('over %s', (_, transport: () => Transport) => {
  test('two devices of a person show the same state of a thread', async () => {
    const [a, name] = [await online(person()), person()]
    const [phone, laptop] = [await online(name, 'phone', { transport: transport() }), await online(name, 'laptop', { transport: transport() })]
    const thread = await a.createThread('1_TO_1', [name])
    await a.sendText(thread, 'may I write to you?')
    await until('a request on both', () => [phone, laptop].every((c) => me(c, thread)?.accepted === false && summary(c, thread)?.newest))

    await phone.setMe(thread, { accepted: true, pinned: true, muted_until: '9999-12-31T23:59:59.000Z' })
    expect(me(phone, thread)).toMatchObject({ accepted: true, pinned: true, muted_until: '9999-12-31T23:59:59.000Z', marked_unread: false })
    await until('the same on the other', () => me(laptop, thread)?.pinned && me(laptop, thread)?.accepted)
    await laptop.setMe(thread, { muted_until: null, pinned: false })
    await until('and back', () => me(phone, thread)?.pinned === false && me(phone, thread)?.muted_until === null)

    const newest = summary(laptop, thread)!.newest!.id
    await laptop.read(thread, newest)
    await phone.setMe(thread, { marked_unread: true })
    await until('marked as unread', () => me(laptop, thread)?.marked_unread)
    await laptop.read(thread, newest) // again, which moves nothing but takes the mark away
    await until('read again', () => !me(laptop, thread)?.marked_unread && !me(phone, thread)?.marked_unread)
  })

  test('a new message brings a thread back from the archive, but not a muted one', async () => {
    const [a, b] = [await online(person()), await online(person(), 'phone', { transport: transport() })]
    const thread = await a.createThread('1_TO_1', [b.userId])
    await a.sendText(thread, 'one')
    await until('the first', () => summary(b, thread)?.newest)
    await b.setMe(thread, { archived: true })
    expect(me(b, thread)?.archived).toBe(true)
    await a.sendText(thread, 'two')
    await until('back in the list', () => me(b, thread)?.archived === false)

    await b.setMe(thread, { archived: true, muted_until: '9999-12-31T23:59:59.000Z' })
    await a.sendText(thread, 'three')
    await until('the third', () => decodeText(summary(b, thread)!.newest!.ciphertext) === 'three')
    expect(me(b, thread)?.archived).toBe(true)
    await b.setMe(thread, { muted_until: null })
    await b.sendText(thread, 'four')
    await until('back by a message of its own', () => me(b, thread)?.archived === false)
    expect((await b.rest.get<{ archived: boolean }>(`/v1/threads/${thread}/me`)).archived).toBe(false)
  })
})

test('what is kept of a thread is there after a start without a connection', async () => {
  const storage = new MemoryStorage()
  const [a, b] = [await online(person()), await online(person(), 'phone', { storage })]
  const thread = await a.createThread('1_TO_1', [b.userId])
  await a.sendText(thread, 'hello')
  await until('the message', () => summary(b, thread)?.newest)
  await b.setMe(thread, { archived: true })
  b.disconnect()
  const again = new Client({ url: server.url, userId: b.userId, deviceId: 'phone', token: () => '', storage })
  await again.load()
  expect(me(again, thread)).toMatchObject({ archived: true, accepted: false })
})

test('devices are listed and removed, and the others are told of those with keys', async () => {
  const name = person()
  const [phone, laptop] = [await online(name, 'phone'), await online(name, 'laptop')]
  expect((await phone.devices()).map((d) => [d.device_id, d.connected])).toEqual([['laptop', true], ['phone', true]])
  const told: Frame[] = []
  phone.events.on('frame', (frame) => frame.t === 'devices' && told.push(frame))
  const key = (id: number) => ({ key_id: id, public_key: 'AAAA', signature: 'AAAA' })
  await laptop.rest.request('PUT', '/v1/users/me/prekeys', { body: { identity_key: 'AAAA', signed_prekey: key(1), one_time_prekeys: [] } })
  await until('added', () => told.some((f) => f.t === 'devices' && f.change === 'added' && f.device_id === 'laptop'))

  await phone.removeDevice('laptop')
  await until('removed', () => told.some((f) => f.t === 'devices' && f.change === 'removed'))
  await until('the device knows', () => laptop.getSnapshot().state === 'removed')
  expect((await phone.devices()).map((d) => d.device_id)).toEqual(['phone'])
  await expect(phone.removeDevice('laptop')).rejects.toMatchObject({ code: 'device_not_found' })
})

test('whom one blocks is listed, over pages, and a report is made once', async () => {
  const [a, b] = [await online(person()), await online(person())]
  const others = Array.from({ length: 101 }, (_, i) => `${a.userId}.nuisance${String(i).padStart(3, '0')}`)
  for (const other of [b.userId, ...others]) await a.block(other)
  expect((await a.blocks()).map((block) => block.user_id).sort()).toEqual([b.userId, ...others].sort())
  for (const other of others) await a.unblock(other)
  expect((await a.blocks()).map((block) => block.user_id)).toEqual([b.userId])
  await a.unblock(b.userId)

  const thread = await b.createThread('1_TO_1', [a.userId])
  await b.sendText(thread, 'buy this')
  const message = await until('the message', () => summary(a, thread)?.newest)
  const first = await a.report(message.id, 'spam', 'again and again')
  expect(first).toMatchObject({ message_id: message.id, reason: 'spam' })
  expect((await a.report(message.id, 'abuse')).id).toBe(first.id)
})

test('what is sent to somebody who blocks one is failed, also where the server says so before it answers', async () => {
  const [a, b] = [await online(person()), await online(person())]
  const thread = await a.createThread('1_TO_1', [b.userId])
  await b.block(a.userId)
  for (let i = 0; i < 10; i++) {
    await a.sendText(thread, `can you hear me? ${i}`)
    const progress = () => a.thread(thread).view.getSnapshot().messages.map((m) => progressOf(m, summary(a, thread)!.participants).state)
    await until('failed', () => progress().length === i + 1 && progress().every((state) => state === 'failed'), 3000)
  }
})

test('the whole local log can be looked through, also what is not in memory', async () => {
  const storage = new MemoryStorage()
  const [a, b] = [await online(person()), await online(person(), 'phone', { storage })]
  const thread = await a.createThread('1_TO_1', [b.userId])
  for (let i = 1; i <= 230; i++) void a.sendText(thread, String(i))
  await until('all of them', () => decodeText(summary(b, thread)?.newest?.ciphertext ?? '') === '230')
  b.disconnect()
  const again = new Client({ url: server.url, userId: b.userId, deviceId: 'phone', token: () => '', storage })
  await again.load()
  expect(again.thread(thread).view.getSnapshot().messages.length).toBeLessThan(230)
  const seen: string[] = []
  for await (const message of again.thread(thread).stored()) seen.push(decodeText(message.ciphertext))
  expect(seen).toEqual(Array.from({ length: 230 }, (_, i) => String(230 - i)))
})
