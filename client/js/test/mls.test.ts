import WebSocket from 'ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, jsonTransport, type ClientOptions, type Transport } from '../src/index.js'
import { MemoryStorage } from '../src/storage.js'
import { Encryption, inspect, MemorySecrets } from '../src/mls/index.js'
import { mqttTransport } from '../src/mqtt.js'
import { Server, token, until } from './server.js'

const server = new Server()
const ends: (() => void)[] = []
beforeAll(() => server.start())
afterAll(async () => {
  for (const end of ends) end()
  await server.remove()
})

const json = () => jsonTransport({ WebSocket: WebSocket as never })
let people = 0
const person = () => `mls${++people}`

/** A connected device that encrypts. */
class Person {
  readonly errors: unknown[] = []
  private constructor(readonly client: Client, readonly mls: Encryption, readonly secrets: MemorySecrets) {}

  static async come(userId = person(), deviceId = 'd', options: Partial<ClientOptions> = {}, secrets = new MemorySecrets()): Promise<Person> {
    const client = new Client({ url: server.url, userId, deviceId, token: () => token(userId), transport: json(), ...options })
    await client.connect()
    await until(`${userId} online`, () => client.getSnapshot().state === 'online')
    const mls = await Encryption.open(client, { secrets, packages: 20 })
    const made = new Person(client, mls, secrets)
    mls.events.on('error', (error) => made.errors.push(error))
    ends.push(() => client.close())
    return made
  }

  get id(): string {
    return this.client.userId
  }

  /** Who is in the group of a thread, as this device sees it. */
  async group(thread: string): Promise<string[]> {
    return (await this.mls.group(thread).members()).map(({ device }) => device.userId).sort()
  }

  /** What the messages of a thread say on this device, in their order. */
  async texts(thread: string): Promise<string[]> {
    await this.mls.sync(thread)
    const all: string[] = []
    for (const message of this.client.thread(thread).view.getSnapshot().messages) {
      if (message.content_type === 'control') continue
      const revealed = message.deleted ? { text: '†' } : await this.mls.load(message)
      all.push(!revealed ? '…' : 'text' in revealed ? revealed.text : `(${revealed.why})`)
    }
    return all
  }

  async reads(thread: string, ...want: string[]): Promise<void> {
    let got: string[] = []
    const holds = async () => (got = await this.texts(thread)).join() === want.join()
    await until('it', holds).catch(() => {
      throw new Error(`${this.id}/${this.client.deviceId} reads ${got}, not ${want}; errors: ${this.errors}`)
    })
  }
}

describe.each([['JSON', json], ['MQTT', () => mqttTransport()]] as const)('over %s', (_, transport) => {
  test('two people read each other, and the server reads neither', async () => {
    const with_ = { transport: transport() as Transport }
    const [ann, bob] = [await Person.come(person(), 'd', with_), await Person.come(person(), 'd', { transport: transport() })]
    const thread = await ann.mls.createThread('1_TO_1', [bob.id])
    await ann.mls.sendText(thread, 'hello bob')
    await bob.reads(thread, 'hello bob')
    await bob.mls.sendText(thread, 'hello ann')
    await ann.reads(thread, 'hello bob', 'hello ann')
    const stored = await ann.client.rest.get<{ messages: { ciphertext: string }[] }>(`/v1/threads/${thread}/messages`)
    for (const { ciphertext } of stored.messages) {
      const seen = Buffer.from(ciphertext, 'base64').toString('latin1')
      expect(seen).not.toMatch(/hello|ann|bob/)
    }
    expect(await ann.mls.safetyNumber(thread, bob.id)).toBe(await bob.mls.safetyNumber(thread, ann.id))
    expect(await ann.mls.safetyNumber(thread, bob.id)).toMatch(/^(\d{5} ){11}\d{5}$/)
  })
})

test('edited and deleted messages', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  await ann.mls.sendText(thread, 'first')
  await ann.mls.sendText(thread, 'second')
  await bob.reads(thread, 'first', 'second')
  await ann.reads(thread, 'first', 'second')
  const [first, second] = ann.client.thread(thread).view.getSnapshot().messages.filter((m) => m.content_type !== 'control')
  await ann.mls.edit(thread, first!.id, 'better')
  await ann.client.delete(thread, second!.id)
  for (const p of [ann, bob]) await p.reads(thread, 'better', '†')
})

test('who is let in reads what follows, who is let out nothing more', async () => {
  const [ann, bob, cat] = [await Person.come(), await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  await ann.mls.sendText(thread, 'two of us')
  await bob.reads(thread, 'two of us')
  await ann.mls.addParticipant(thread, cat.id)
  await bob.mls.sendText(thread, 'three of us')
  await cat.reads(thread, 'three of us') // what came before is not shown to it
  await cat.mls.sendText(thread, 'so it is')
  for (const p of [ann, bob]) await p.reads(thread, 'two of us', 'three of us', 'so it is')
  await ann.mls.removeParticipant(thread, bob.id)
  await cat.mls.sendText(thread, 'without bob')
  await ann.reads(thread, 'two of us', 'three of us', 'so it is', 'without bob')
  expect((await cat.mls.group(thread).members()).map(({ device }) => device.userId).sort()).toEqual([ann.id, cat.id].sort())
})

test('a second device of a person is let in by the next message', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  await ann.mls.sendText(thread, 'to your phone')
  await bob.reads(thread, 'to your phone')
  const laptop = await Person.come(bob.id, 'laptop')
  ann.mls.group(thread).changed() // as the frame devices does, which is told at best
  await ann.mls.sendText(thread, 'to both')
  await bob.reads(thread, 'to your phone', 'to both')
  await laptop.client.thread(thread).open()
  await laptop.reads(thread, '(before_joining)', 'to both')
  await laptop.mls.sendText(thread, 'from the laptop')
  for (const p of [ann, bob]) await p.reads(thread, 'to your phone', 'to both', 'from the laptop')
})

test('a device that is installed anew', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  await ann.mls.sendText(thread, 'before')
  await bob.reads(thread, 'before')
  const changed: unknown[] = []
  ann.mls.events.on('identity_changed', (device) => changed.push(device))
  const number = await ann.mls.safetyNumber(thread, bob.id)
  bob.client.close()
  const again = await Person.come(bob.id)
  ann.mls.group(thread).changed()
  await ann.mls.sendText(thread, 'after')
  await again.client.thread(thread).open()
  await again.reads(thread, '(before_joining)', 'after')
  expect(changed).toEqual([{ userId: bob.id, deviceId: 'd' }])
  expect(await ann.mls.safetyNumber(thread, bob.id)).not.toBe(number)
  expect(await ann.mls.safetyNumber(thread, bob.id)).toBe(await again.mls.safetyNumber(thread, ann.id))
})

test('a device that was away, over changes of the group and a reload', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  await ann.mls.sendText(thread, 'there')
  await bob.reads(thread, 'there')
  await bob.mls.close()
  bob.client.close()
  const others = [await Person.come(), await Person.come()]
  for (const other of others) await ann.mls.addParticipant(thread, other.id)
  await others[1]!.mls.sendText(thread, 'away')
  await ann.mls.removeParticipant(thread, others[0]!.id)
  await ann.mls.sendText(thread, 'still away')
  await ann.reads(thread, 'there', 'away', 'still away')
  const back = await Person.come(bob.id, 'd', {}, bob.secrets)
  await back.client.thread(thread).open()
  await back.reads(thread, 'there', 'away', 'still away')
  await back.mls.sendText(thread, 'back')
  await ann.reads(thread, 'there', 'away', 'still away', 'back')
})

test('two who begin the same group end in one', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.client.createThread('1_TO_1', [bob.id])
  await Promise.all([ann.mls.sendText(thread, 'a'), bob.mls.sendText(thread, 'b').catch(async () => {
    await bob.mls.sync(thread) // its group is not the one: it is let in by ann's
    return bob.mls.sendText(thread, 'b')
  })])
  for (const p of [ann, bob]) await until('both texts', async () => (await p.texts(thread)).slice().sort().join() === 'a,b')
})

test('who does not encrypt is shown as that', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  await ann.client.sendText(thread, 'plain')
  await bob.reads(thread, '(not_encrypted)')
})

test('what is written while the server is away, over a start without it', async () => {
  const [ann, bob] = [await Person.come(person(), 'd', { storage: new MemoryStorage() }), await Person.come()]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  await ann.mls.sendText(thread, 'there')
  await bob.reads(thread, 'there')
  await until('it is sent', () => ann.client.getSnapshot().outgoing === 0)
  ann.client.disconnect()
  await ann.mls.sendText(thread, 'offline')
  expect(ann.client.thread(thread).view.getSnapshot().outgoing.map((item) => ann.mls.reveal(item.body))).toEqual([{ text: 'offline', by: ann.id, thread }])
  await ann.mls.close()

  // The same device starts again, and knows what it knew.
  const storage = new MemoryStorage()
  await storage.write({ outgoing: [...ann.client.thread(thread).view.getSnapshot().outgoing] })
  const client = new Client({ url: server.url, userId: ann.id, deviceId: 'd', token: () => token(ann.id), transport: json(), storage })
  ends.push(() => client.close())
  await client.load()
  const mls = await Encryption.open(client, { secrets: ann.secrets })
  const [waiting] = client.thread(thread).view.getSnapshot().outgoing
  expect(await mls.load(waiting!.body)).toEqual({ text: 'offline', by: ann.id, thread })
  await mls.sendText(thread, 'still offline')
  await client.connect()
  await bob.reads(thread, 'there', 'offline', 'still offline')
})

test('keys are uploaded when a device that began without the server has it', async () => {
  const [userId, bob] = [person(), await Person.come()]
  const client = new Client({ url: server.url, userId, deviceId: 'd', token: () => token(userId), transport: json() })
  ends.push(() => client.close())
  await Encryption.open(client, { packages: 5 })
  await client.connect()
  const thread = await bob.client.createThread('1_TO_1', [userId])
  await until('it has keys', async () => (await bob.mls.standing(thread)).without.length === 0)
})

test('another store of the server gets keys too', async () => {
  const [one, other] = [await new Server().start(), new Server()]
  ends.push(() => void one.remove(), () => void other.remove())
  const come = async (userId: string) => {
    const client = new Client({ url: one.url, userId, deviceId: 'd', token: () => token(userId), transport: json() })
    ends.push(() => client.close())
    await client.connect()
    await until('it is there', () => client.online)
    return { client, mls: await Encryption.open(client, { packages: 5 }) }
  }
  const [ann, bob] = [await come('ann'), await come('bob')]
  await one.stop()
  other.port = one.port
  await other.start()
  for (const { client } of [ann, bob]) {
    client.hurry()
    await until('it is there again', async () => client.online && (await client.rest.get<{ devices: unknown[] }>('/v1/users/me/prekeys')).devices.length > 0)
  }
  const thread = await ann.mls.createThread('1_TO_1', ['bob'])
  await ann.mls.sendText(thread, 'hello')
  await until('bob reads it', async () => {
    const message = bob.client.getSnapshot().threads.find((t) => t.id === thread)?.newest
    return message && bob.mls.reveal(message)
  })
})

test('how a thread stands', async () => {
  const ann = await Person.come()
  const late = person()
  const thread = await ann.client.createThread('GROUP', [late])
  expect(await ann.mls.standing(thread)).toEqual({ state: 'none', without: [late] })
  await ann.mls.sendText(thread, 'to nobody')
  expect(await ann.mls.standing(thread)).toEqual({ state: 'in', without: [late] })
  const came = await Person.come(late)
  await came.client.thread(thread).open()
  expect(await came.mls.standing(thread)).toEqual({ state: 'outside', without: [] })
  await expect(came.mls.sendText(thread, 'too early')).rejects.toThrow('not in the group')
  await came.mls.tend(thread) // it asks, and ann's device hears that
  await until('it is let in', async () => (await came.mls.standing(thread)).state === 'in')
  expect(await ann.mls.standing(thread)).toEqual({ state: 'in', without: [] })
  await came.mls.sendText(thread, 'now')
  await ann.reads(thread, 'to nobody', 'now')
  await came.reads(thread, '(before_joining)', 'now')
})

test('whom another client puts into a thread is let in without a message, and who leaves is let out', async () => {
  const [ann, bob, cat] = [await Person.come(), await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  await ann.mls.sync(thread)
  await ann.client.addParticipant(thread, cat.id)
  await until('cat is in', async () => (await cat.mls.standing(thread)).state === 'in')
  await cat.mls.sendText(thread, 'hello')
  for (const p of [ann, bob, cat]) await p.reads(thread, 'hello')
  await cat.mls.removeParticipant(thread, cat.id)
  for (const p of [ann, bob]) await until('cat is out', async () => (await p.group(thread)).join() === [ann.id, bob.id].sort().join())
  expect((await cat.group(thread)).length).toBe(3) // nothing was told to it
})

test('who was out of the thread and is in it again, with or without having been let out of the group', async () => {
  const [ann, bob, cat] = [await Person.come(), await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('GROUP', [bob.id, cat.id])
  await ann.mls.sendText(thread, 'all of us')
  for (const p of [bob, cat]) await p.reads(thread, 'all of us')
  await ann.mls.removeParticipant(thread, cat.id)
  await ann.mls.sendText(thread, 'without cat')
  await until('cat is out', () => cat.client.thread(thread).record?.left)
  await ann.mls.addParticipant(thread, cat.id)
  await ann.mls.sendText(thread, 'cat is back')
  await until('cat reads it', async () => (await cat.texts(thread)).at(-1) === 'cat is back')
  expect(await cat.texts(thread)).not.toContain('without cat')

  // Nobody who encrypts is there to see the next one: its leaf stays.
  for (const p of [ann, bob]) p.client.disconnect()
  await ann.client.removeParticipant(thread, cat.id)
  await until('cat is out', () => cat.client.thread(thread).record?.left)
  await ann.client.addParticipant(thread, cat.id)
  await until('cat is in', () => !cat.client.thread(thread).record?.left)
  for (const p of [ann, bob]) await p.client.connect()
  await until('ann is there', () => ann.client.online)
  await ann.mls.sendText(thread, 'cat never left')
  await until('cat reads it', async () => (await cat.texts(thread)).at(-1) === 'cat never left')
  await cat.mls.sendText(thread, 'indeed')
  for (const p of [ann, bob]) await p.reads(thread, 'all of us', 'without cat', 'cat is back', 'cat never left', 'indeed')
})

test('who is asked for keys too often is let in later', async () => {
  const [ann, bob, cat] = [await Person.come(), await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  for (let n = 0; n < 5; n++) await ann.client.rest.request('POST', `/v1/threads/${thread}/prekeys`, { body: { user_ids: [bob.id] } })
  bob.client.disconnect()
  await ann.mls.addParticipant(thread, cat.id)
  await ann.mls.sendText(thread, 'without cat')
  expect(await ann.mls.standing(thread)).toEqual({ state: 'in', without: [cat.id] })
  await bob.client.connect()
  await until('bob is there', () => bob.client.online)
  await bob.mls.tend(thread)
  await bob.mls.sendText(thread, 'with cat')
  await cat.reads(thread, '(before_joining)', 'with cat')
  for (const p of [ann, bob]) await p.reads(thread, 'without cat', 'with cat')
})

test('the newest message of a thread is one for people', async () => {
  const [ann, bob, cat] = [await Person.come(), await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  await ann.mls.sendText(thread, 'hello')
  await bob.reads(thread, 'hello')
  await ann.mls.addParticipant(thread, cat.id)
  await until('the control message', () => bob.client.thread(thread).view.getSnapshot().messages.at(-1)?.content_type === 'control')
  const { newest } = bob.client.getSnapshot().threads.find((t) => t.id === thread)!
  expect(newest && (await bob.mls.load(newest))).toEqual({ text: 'hello', by: ann.id, thread })
})

test('a message is of whom the group says, not of whom the server says', async () => {
  const [ann, bob, cat] = [await Person.come(), await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('GROUP', [bob.id, cat.id])
  await ann.mls.sendText(thread, 'by ann')
  await bob.reads(thread, 'by ann')
  const [message] = bob.client.thread(thread).view.getSnapshot().messages.filter((m) => m.content_type !== 'control')
  expect(await bob.mls.load({ ...message!, sender_id: cat.id })).toEqual({ why: 'another_sender' })
  expect(bob.mls.reveal({ ...message!, sender_id: ann.id })).toEqual({ text: 'by ann', by: ann.id, thread })
})

test('what is seen of a ciphertext without its key', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  await ann.mls.sendText(thread, 'hello')
  await ann.reads(thread, 'hello')
  const seen = ann.client.thread(thread).view.getSnapshot().messages.map((m) => inspect(m.ciphertext))
  expect(seen).toEqual([
    { kind: 'commit', epoch: 0, bytes: expect.any(Number), welcome: true },
    { kind: 'message', epoch: 1, bytes: expect.any(Number) },
  ])
  for (const other of ['aGVsbG8=', '', 'no base64!', 'AAEAAg==']) expect(inspect(other)).toBeUndefined()
})

test('after its end it does nothing more', async () => {
  const [ann, bob] = [await Person.come(), await Person.come()]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  const sending = ann.mls.sendText(thread, 'the last one')
  await ann.mls.close()
  await sending
  await expect(ann.mls.sendText(thread, 'one more')).rejects.toThrow('closed')
  await bob.reads(thread, 'the last one')
})

describe('who is in the thread and means harm', () => {
  const text = (bytes: Uint8Array | number[]) => Buffer.from(bytes).toString('base64')
  const framed = (commit: number[], welcome: number[] = []) => text([1, 0, 0, 0, commit.length, ...commit, ...welcome])
  const harmful: [string, string][] = [
    ['nothing of ours', text([7, 7, 7])],
    ['a length beyond the end', text([1, 255, 255, 255, 255, 0])],
    ['no commit', framed([0, 1, 0, 2, 9, 9, 9])],
    ['an empty one', framed([])],
    ['a broken welcome', framed([1], [0, 1, 0, 3, 255, 255])],
  ]

  test('breaks no group with what it takes epochs for', async () => {
    const [ann, bob, eve, cat] = [await Person.come(), await Person.come(), await Person.come(), await Person.come()]
    const thread = await ann.mls.createThread('GROUP', [bob.id, eve.id])
    const said: string[] = []
    for (const [what, ciphertext] of harmful) {
      const { epoch } = await eve.client.rest.get<{ epoch: number }>(`/v1/threads/${thread}`)
      await eve.client.sendControl(thread, { key: what.replace(/ /g, '-'), clientSeq: eve.client.nextClientSeq(), ciphertext, epoch: epoch + 1 })
      said.push(`after ${what}`)
      await ann.mls.sendText(thread, said.at(-1)!)
      await bob.reads(thread, ...said)
    }
    // A commit that was sent before, and one of another thread.
    const other = await eve.mls.createThread('GROUP', [bob.id])
    for (const of of [thread, other]) {
      const { messages } = await eve.client.rest.get<{ messages: { ciphertext: string }[] }>(`/v1/threads/${of}/messages`, { content_type: 'control' })
      const commit = messages.find((m) => Buffer.from(m.ciphertext, 'base64')[0] === 1 && m.ciphertext.length > 100)!
      const { epoch } = await eve.client.rest.get<{ epoch: number }>(`/v1/threads/${thread}`)
      await eve.client.sendControl(thread, { key: crypto.randomUUID(), clientSeq: eve.client.nextClientSeq(), ciphertext: commit.ciphertext, epoch: epoch + 1 })
      said.push(`after that of ${of === thread ? 'before' : 'another thread'}`)
      await bob.mls.sendText(thread, said.at(-1)!)
      await ann.reads(thread, ...said)
    }
    await ann.mls.addParticipant(thread, cat.id)
    await bob.mls.sendText(thread, 'with cat')
    await cat.reads(thread, 'with cat')
    for (const p of [ann, bob, eve, cat]) expect(p.errors, p.id).toEqual([])
  })

  test('holds up no group before it has begun', async () => {
    const [ann, eve] = [await Person.come(), await Person.come()]
    const thread = await ann.client.createThread('GROUP', [eve.id])
    await eve.client.sendControl(thread, { key: 'k', clientSeq: 1, ciphertext: harmful[2]![1], epoch: 1 })
    await ann.mls.sendText(thread, 'all the same')
    await eve.reads(thread, 'all the same')
  })
})

test('keys are uploaded once, not at every start', async () => {
  const ann = await Person.come()
  const stored = async (p: Person) =>
    (await p.client.rest.get<{ devices: { one_time_prekeys: number }[] }>('/v1/users/me/prekeys')).devices.map((d) => d.one_time_prekeys)
  expect(await stored(ann)).toEqual([20])
  await ann.mls.close()
  ann.client.close()
  expect(await stored(await Person.come(ann.id, 'd', {}, ann.secrets))).toEqual([20])
})
