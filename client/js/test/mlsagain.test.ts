// Texts that a device cannot decrypt, and that those who have them send it again.
import { createApplicationMessage, decodeGroupState, emptyPskIndex, encodeMlsMessage, processPrivateMessage, type CiphersuiteImpl } from 'ts-mls'
import { defaultClientConfig } from 'ts-mls/clientConfig.js'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { fromBase64, toBase64 } from '../src/bytes.js'
import type { Client, Message } from '../src/index.js'
import { Encryption, inspect, MemorySecrets, type Ask } from '../src/mls/index.js'
import { decodePrivate, encodePrivate } from '../src/mls/envelope.js'
import { decodeMls } from '../src/mls/leaves.js'
import { concat } from '../src/mls/identity.js'
import { encodeGiven, encodeRequest, parseGiven, parseRequest, type Given } from '../src/mls/requests.js'
import { begin, connected, Encrypting, end } from './people.js'
import { until } from './server.js'

let cs: CiphersuiteImpl
beforeAll(async () => {
  cs = await begin()
})
afterAll(end)

const bytes = (text: string) => new TextEncoder().encode(text)
const MARK = bytes('parley again 1')

let people = 0

class Person extends Encrypting {
  readonly errors: unknown[] = []
  readonly asked: string[] = []
  private constructor(client: Client, mls: Encryption, secrets: MemorySecrets) {
    super(client, mls, secrets)
    mls.events.on('error', (error) => this.errors.push(error))
    mls.events.on('asked', (thread) => this.asked.push(thread))
  }

  static async come(userId = `again${++people}`, deviceId = 'd', secrets = new MemorySecrets()): Promise<Person> {
    const client = await connected(userId, deviceId)
    return new Person(client, await Encryption.open(client, { secrets, packages: 10 }), secrets)
  }

  static many(n: number): Promise<Person[]> {
    return Promise.all(Array.from({ length: n }, () => Person.come()))
  }

  get device() {
    return { userId: this.id, deviceId: this.client.deviceId }
  }

  /** Ends, as the page does. */
  async leave(): Promise<void> {
    await this.mls.close()
    this.client.close()
  }

  /** The same device after a reload of its page. */
  again(): Promise<Person> {
    return Person.come(this.id, this.client.deviceId, this.secrets)
  }

  /** Another device of the same person, which is let into the group. */
  async another(deviceId: string, thread: string): Promise<Person> {
    const made = await Person.come(this.id, deviceId)
    await until('it is in', async () => {
      await made.mls.tend(thread)
      return (await made.mls.standing(thread)).state === 'in'
    })
    return made
  }

  async messages(thread: string): Promise<Message[]> {
    const all: Message[] = []
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page: { messages: Message[]; next_cursor: string | null } = await this.client.rest.get(`/v1/threads/${thread}/messages`, { page_size: 100, cursor })
      all.unshift(...page.messages.toReversed())
      cursor = page.next_cursor
    }
    return all
  }

  /** The private control messages of a thread. */
  async controls(thread: string): Promise<Message[]> {
    return (await this.messages(thread)).filter((m) => m.content_type === 'control' && m.epoch === null)
  }

  /** The ids of the texts of a thread. */
  async ids(thread: string): Promise<string[]> {
    await this.mls.sync(thread)
    return (await this.messages(thread)).filter((m) => m.content_type !== 'control').map(({ id }) => id)
  }

  async texts(thread: string): Promise<string[]> {
    await this.mls.sync(thread)
    const shown = (await this.messages(thread)).filter((m) => m.content_type !== 'control')
    return Promise.all(shown.map(async (message) => {
      if (message.deleted) return '†'
      const revealed = await this.mls.load(message)
      return !revealed ? '…' : 'text' in revealed ? revealed.text : `(${revealed.why})`
    }))
  }

  /** Sends texts, and waits until the server has them. */
  async says(thread: string, ...texts: string[]): Promise<void> {
    for (const text of texts) await this.mls.sendText(thread, text)
    await until('it is sent', () => this.client.getSnapshot().outgoing === 0)
    await this.mls.sync(thread)
  }

  /** The asks of a thread, once there are so many. */
  async hears(thread: string, n = 1): Promise<Ask[]> {
    let asks: Ask[] = []
    await until(`${n} asks`, async () => {
      await this.mls.sync(thread)
      return (asks = await this.mls.asks(thread)).length === n
    })
    return asks
  }

  /** What a client of the person's making sends to the group. */
  async privately(thread: string, content: Uint8Array, mark = MARK): Promise<void> {
    let ciphertext = ''
    await this.mls.group(thread).use(async (state) => {
      const { newState, privateMessage } = await createApplicationMessage(state!, content, cs, mark)
      ciphertext = toBase64(encodePrivate(encodeMlsMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage })))
      return newState
    }, true)
    await this.control(thread, ciphertext)
  }

  async control(thread: string, ciphertext: string): Promise<void> {
    await this.client.sendControl(thread, { key: crypto.randomUUID(), clientSeq: this.client.nextClientSeq(), ciphertext })
  }
}

/** Ann and a new device of bob's, which cannot read what ann has sent him. */
async function lost(...texts: string[]) {
  const [ann, old] = await Person.many(2) as [Person, Person]
  const thread = await ann.mls.createThread('GROUP', [old.id])
  await ann.says(thread, ...texts)
  await old.leave()
  const bob = await old.another('new', thread)
  await bob.reads(thread, ...texts.map(() => '(before_joining)'))
  return { ann, old, bob, thread, ids: await bob.ids(thread) }
}

const hashOf = async (ciphertext: string) => Buffer.from(await crypto.subtle.digest('SHA-256', fromBase64(ciphertext) as BufferSource)).toString('hex')

/** An answer to an ask, of anybody's making. */
async function answerTo(thread: string, ask: Ask, given: Given[], of = given.map(({ id }) => id)): Promise<Uint8Array> {
  const key = await cs.hpke.importPublicKey(fromBase64(ask.id))
  const purpose = `parley again 1\n${thread}\n${ask.id}\n${ask.device.userId}/${ask.device.deviceId}`
  const { enc, ct } = await cs.hpke.seal(key, encodeGiven(given), bytes(purpose))
  return encodeRequest({ answers: ask.id, of, sealed: concat(enc, ct) })
}

test('a new device asks who wrote to it, and reads what is sent again', async () => {
  const { ann, bob, thread, ids } = await lost('one', 'two')
  const before = await bob.client.rest.get<{ last_msg_id: string; unread_count: number; last_activity_at: string }>(`/v1/threads/${thread}`)
  await bob.mls.askAgain(thread, ids)
  expect(await bob.mls.waitingFor(thread)).toEqual(ids)
  const [ask] = await ann.hears(thread)
  expect(ask).toEqual({ id: ask!.id, device: bob.device, messages: ids })
  expect(ann.asked).toContain(thread)
  await bob.reads(thread, '(before_joining)', '(before_joining)') // nothing is given by itself

  const told = new Promise<void>((resolve) => bob.mls.events.on('texts', resolve))
  await ann.mls.answer(thread, ask!.id, true)
  await bob.reads(thread, 'one', 'two')
  await told
  const [message] = (await bob.messages(thread)).filter((m) => m.content_type === 'text')
  expect(bob.mls.reveal(message!)).toEqual({ text: 'one', by: ann.id, thread, again: true })
  expect(await bob.mls.waitingFor(thread)).toEqual([])
  expect(await ann.mls.asks(thread)).toEqual([])
  expect(await bob.secrets.get(`again/${thread}`)).toBeUndefined() // the key is gone

  // For everybody else in the thread nothing has happened, and the server reads nothing.
  const after = await bob.client.rest.get<typeof before>(`/v1/threads/${thread}`)
  expect([after.last_msg_id, after.unread_count, after.last_activity_at]).toEqual([before.last_msg_id, before.unread_count, before.last_activity_at])
  const controls = await bob.controls(thread)
  expect(controls.map(({ ciphertext }) => inspect(ciphertext)?.kind)).toEqual(['again', 'again'])
  for (const { ciphertext, expires_at, created_at } of controls) {
    expect(Buffer.from(ciphertext, 'base64').toString('latin1')).not.toMatch(/one|two|sealed/)
    expect(Date.parse(expires_at!) - Date.parse(created_at)).toBe(7 * 24 * 3600 * 1000)
  }
  for (const p of [ann, bob]) {
    await p.says(thread, `from ${p.id}`)
    expect(p.client.thread(thread).view.getSnapshot().messages.filter((m) => m.content_type !== 'control').length).toBeGreaterThan(0)
    expect(p.errors).toEqual([])
  }
  await bob.reads(thread, 'one', 'two', `from ${ann.id}`, `from ${bob.id}`)
})

test('who is refused may ask again', async () => {
  const { ann, bob, thread, ids } = await lost('one')
  await bob.mls.askAgain(thread, ids)
  const [ask] = await ann.hears(thread)
  await ann.mls.answer(thread, ask!.id, false)
  await ann.mls.answer(thread, ask!.id, true) // it is not there any more
  expect(await ann.mls.asks(thread)).toEqual([])
  expect((await ann.controls(thread)).length).toBe(1)
  expect(await bob.mls.waitingFor(thread)).toEqual(ids)
  await bob.mls.askAgain(thread, ids)
  await bob.mls.askAgain(thread, ids)
  await ann.mls.sync(thread)
  const [newest] = await ann.hears(thread)
  expect(newest!.id).not.toBe(ask!.id)
  await ann.mls.answer(thread, newest!.id, true)
  await bob.reads(thread, 'one')
})

test('an ask stands for seven days', async () => {
  const { ann, bob, thread, ids } = await lost('one')
  await bob.mls.askAgain(thread, ids)
  await ann.hears(thread)
  const now = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 7 * 24 * 3600 * 1000)
  try {
    expect(await ann.mls.asks(thread)).toEqual([])
    expect(await bob.mls.waitingFor(thread)).toEqual([])
  } finally {
    now.mockRestore()
  }
})

test('who came later gets nothing, and does not read what others get', async () => {
  const { ann, bob, thread, ids } = await lost('before carol')
  const carol = await Person.come()
  await ann.mls.addParticipant(thread, carol.id)
  await until('carol is in', async () => (await carol.mls.standing(thread)).state === 'in')
  const pair = await cs.hpke.generateKeyPair()
  const key = toBase64(await cs.hpke.exportPublicKey(pair.publicKey))
  await carol.privately(thread, encodeRequest({ ask: ids, key }))
  await until('ann has it', async () => {
    await ann.mls.sync(thread)
    return (await ann.secrets.get<{ asks: Ask[] }>(`again/${thread}`))?.asks.length === 1
  })
  expect(await ann.mls.asks(thread)).toEqual([])
  const receipts = vi.spyOn(ann.client, 'receipts')
  expect(await ann.mls.asks(thread)).toEqual([]) // and it costs nothing any more
  expect(receipts).not.toHaveBeenCalled()
  await ann.mls.answer(thread, key, true)
  expect((await ann.controls(thread)).length).toBe(1)

  await bob.mls.askAgain(thread, ids)
  const [ask] = await ann.hears(thread)
  await carol.mls.sync(thread)
  await carol.leave()
  await ann.mls.answer(thread, ask!.id, true)
  await bob.reads(thread, 'before carol')
  const { state } = (await carol.secrets.get<{ state: Uint8Array }>(`group/${thread}`))!
  const answer = decodeMls(decodePrivate(fromBase64((await ann.controls(thread)).at(-1)!.ciphertext))!)
  const opened = answer?.wireformat === 'mls_private_message' &&
    (await processPrivateMessage({ ...decodeGroupState(state, 0)![0], clientConfig: defaultClientConfig }, answer.privateMessage, emptyPskIndex, cs))
  const said = opened && opened.kind === 'applicationMessage' ? opened.message : new Uint8Array()
  expect(parseRequest(said)).toMatchObject({ answers: ask!.id, of: ids })
  expect(Buffer.from((parseRequest(said) as { sealed: Uint8Array }).sealed).toString('latin1')).not.toContain('before carol')
})

test('who was out of the thread gets nothing of before', async () => {
  const { ann, bob, thread, ids } = await lost('before')
  await ann.mls.removeParticipant(thread, bob.id)
  await ann.mls.addParticipant(thread, bob.id)
  await until('bob is back', async () => {
    await bob.mls.tend(thread)
    return !bob.client.thread(thread).record?.left && (await bob.mls.standing(thread)).state === 'in' && (await ann.mls.group(thread).members()).some(({ device }) => device.deviceId === 'new')
  })
  await until('bob is where the others are', async () => {
    await bob.mls.sync(thread)
    return bob.says(thread, 'back').then(() => true, () => false)
  })
  await until('ann reads it', async () => (await ann.texts(thread)).includes('back'))
  await bob.privately(thread, encodeRequest({ ask: ids, key: toBase64(crypto.getRandomValues(new Uint8Array(32))) }))
  await until('ann has it', async () => {
    await ann.mls.sync(thread)
    return (await ann.secrets.get<{ asks: Ask[] }>(`again/${thread}`))?.asks.length === 1
  })
  expect(await ann.mls.asks(thread)).toEqual([])
})

test('what somebody else says that the sender has said is not taken', async () => {
  const { ann, bob, thread, ids } = await lost('the truth', 'more')
  const mal = await Person.come()
  await ann.mls.addParticipant(thread, mal.id)
  await until('mal is in', async () => (await mal.mls.standing(thread)).state === 'in')
  await bob.mls.askAgain(thread, ids)
  const [ask] = await ann.hears(thread)
  const [first, second] = (await bob.messages(thread)).filter((m) => m.content_type === 'text')
  const hash = await hashOf(first!.ciphertext)
  await mal.privately(thread, await answerTo(thread, ask!, [{ id: first!.id, hash, text: 'a lie' }]))
  await mal.privately(thread, await answerTo(thread, ask!, [{ id: first!.id, hash, text: 'a lie', by: ann.id }]))
  // Neither is the sender believed with what the message is not.
  await ann.privately(thread, await answerTo(thread, ask!, [{ id: first!.id, hash: await hashOf(second!.ciphertext), text: 'of another' }]))
  await ann.privately(thread, await answerTo(thread, ask!, [{ id: first!.id, hash, text: 'by another', by: mal.id }]))
  await ann.privately(thread, await answerTo(thread, { ...ask!, device: mal.device }, [{ id: first!.id, hash, text: 'of another ask' }]))
  await bob.reads(thread, '(before_joining)', '(before_joining)')
  expect(await bob.mls.waitingFor(thread)).toEqual(ids)
  // And never over what it has.
  for (const text of ['the truth', 'another truth']) await ann.privately(thread, await answerTo(thread, ask!, [{ id: first!.id, hash, text }]))
  await bob.reads(thread, 'the truth', '(before_joining)')
  expect(await bob.mls.waitingFor(thread)).toEqual([second!.id])
  await ann.mls.answer(thread, ask!.id, true)
  await bob.reads(thread, 'the truth', 'more')
})

test('another device of the same person gives all that it has', async () => {
  const [ann, phone] = await Person.many(2) as [Person, Person]
  const thread = await ann.mls.createThread('1_TO_1', [phone.id])
  await ann.says(thread, 'from ann')
  await phone.reads(thread, 'from ann')
  await phone.says(thread, 'from bob')
  const laptop = await phone.another('laptop', thread)
  await laptop.mls.askAgain(thread, await laptop.ids(thread))
  const [ask] = await phone.hears(thread)
  expect(ask!.messages.length).toBe(2)
  expect((await ann.hears(thread))[0]!.messages.length).toBe(1)
  await phone.mls.answer(thread, ask!.id, true)
  await laptop.reads(thread, 'from ann', 'from bob')
  const shown = (await laptop.messages(thread)).filter((m) => m.content_type === 'text')
  expect(shown.map((message) => laptop.mls.reveal(message))).toEqual([
    { text: 'from ann', by: ann.id, thread, again: true }, { text: 'from bob', by: phone.id, thread, again: true },
  ])
})

test('two devices of the sender answer, and one other hears of it', async () => {
  const { ann, bob, thread, ids } = await lost('one')
  const tablet = await ann.another('tablet', thread)
  const watch = await ann.another('watch', thread)
  for (const other of [tablet, watch]) {
    await other.mls.askAgain(thread, ids)
    const [own] = await ann.hears(thread)
    await ann.mls.answer(thread, own!.id, true)
    await other.reads(thread, 'one')
    if (other === tablet) await watch.mls.sync(thread)
  }
  await bob.mls.askAgain(thread, ids)
  const asks = [...(await ann.hears(thread)), ...(await tablet.hears(thread)), ...(await watch.hears(thread))]
  expect(new Set(asks.map(({ id }) => id)).size).toBe(1)
  const before = (await ann.controls(thread)).length
  await Promise.all([ann, tablet].map((p) => p.mls.answer(thread, asks[0]!.id, true)))
  await bob.reads(thread, 'one')
  expect((await ann.controls(thread)).length).toBeGreaterThan(before)
  await watch.hears(thread, 0)
  for (const p of [ann, tablet, watch, bob]) expect(p.errors).toEqual([])
})

describe('what was deleted does not come back', () => {
  test('when it is deleted before the answer', async () => {
    const { ann, bob, thread, ids } = await lost('gone', 'stays')
    await bob.mls.askAgain(thread, ids)
    await ann.hears(thread)
    await ann.client.delete(thread, ids[0]!)
    await ann.mls.sync(thread)
    const [ask] = await ann.hears(thread)
    expect(ask!.messages).toEqual([ids[1]])
    await ann.mls.answer(thread, ask!.id, true)
    await bob.reads(thread, '†', 'stays')
    expect(await bob.mls.waitingFor(thread)).toEqual([])
  })

  test('when the answer is on its way, nor what was edited', async () => {
    const { ann, bob, thread, ids } = await lost('gone', 'changes', 'stays')
    await bob.mls.askAgain(thread, ids)
    const [ask] = await ann.hears(thread)
    const sealed = (await bob.messages(thread)).filter((m) => m.content_type === 'text')
    const given = await Promise.all(sealed.map(async ({ id, ciphertext }, n) => ({ id, hash: await hashOf(ciphertext), text: ['gone', 'changes', 'stays'][n]! })))
    await bob.leave()
    await ann.client.delete(thread, ids[0]!)
    await ann.mls.edit(thread, ids[1]!, 'changed')
    await ann.privately(thread, await answerTo(thread, ask!, given)) // as if she had not known
    const back = await bob.again()
    await back.reads(thread, '†', 'changed', 'stays')
    expect(await back.secrets.get(`text/${given[0]!.hash}`)).toBeUndefined()
    expect(await back.secrets.get(`text/${given[2]!.hash}`)).toMatchObject({ text: 'stays', again: true })
    await ann.client.delete(thread, ids[2]!)
    await back.reads(thread, '†', 'changed', '†')
    expect(await back.secrets.get(`text/${given[2]!.hash}`)).toBeUndefined()
  })
})

test('who asks and who is asked start again', async () => {
  const { ann, bob, thread, ids } = await lost('one')
  await bob.mls.askAgain(thread, ids)
  await ann.hears(thread)
  await bob.leave()
  await ann.leave()
  const later = await ann.again()
  const [ask] = await later.hears(thread)
  await later.mls.answer(thread, ask!.id, true)
  await later.leave()
  const back = await bob.again()
  await back.reads(thread, 'one')
  expect(await back.mls.waitingFor(thread)).toEqual([])
})

test('what was on its way at the end is sent at the next start, once', async () => {
  const { ann, bob, thread, ids } = await lost('one')
  const cut = (p: Person, arrives: boolean) => {
    const send = p.client.sendControl.bind(p.client)
    p.client.sendControl = async (id, control) => {
      if (arrives) await send(id, control)
      throw new TypeError('no answer')
    }
  }
  cut(bob, false)
  await bob.mls.askAgain(thread, ids)
  expect((await ann.controls(thread)).length).toBe(0)
  await bob.leave()
  const back = await bob.again()
  const [ask] = await ann.hears(thread)
  await back.says(thread, 'with the next key')
  cut(ann, true)
  await ann.mls.answer(thread, ask!.id, true)
  await ann.leave()
  const later = await ann.again()
  await until('it is sent', async () => (await later.secrets.get(`again/${thread}`)) === undefined)
  expect((await ann.controls(thread)).length).toBe(2)
  await back.reads(thread, 'one', 'with the next key')
  await later.reads(thread, 'one', 'with the next key')
  await later.says(thread, 'and the next')
  await back.reads(thread, 'one', 'with the next key', 'and the next')
})

test('250 messages, in several asks and parts', async () => {
  const texts = Array.from({ length: 250 }, (_, n) => `${n} ${'"é\n'.repeat(n === 7 ? 12_000 : 400)}`)
  const { ann, bob, thread, ids } = await lost(...texts)
  await bob.mls.askAgain(thread, ids)
  expect((await bob.mls.waitingFor(thread)).length).toBe(250)
  const asks = await ann.hears(thread, 3)
  expect(asks.map(({ messages }) => messages.length)).toEqual([100, 100, 50])
  for (const { id } of asks) await ann.mls.answer(thread, id, true)
  await bob.reads(thread, ...texts)
  expect(await bob.mls.waitingFor(thread)).toEqual([])
  let large = 0
  for (const { id } of await ann.controls(thread)) {
    const { ciphertext } = await ann.client.rest.get<Message>(`/v1/messages/${id}`)
    const size = fromBase64(ciphertext).length
    expect(size).toBeLessThan(128 * 1024)
    if (size > 64 * 1024) large++
  }
  expect(large).toBe(1)
}, 180_000)

test('so many asks of a device are kept', async () => {
  const { ann, bob, thread, ids } = await lost(...Array.from({ length: 23 }, (_, n) => `${n}`))
  const keys: string[] = []
  for (const id of ids) {
    keys.push(toBase64(crypto.getRandomValues(new Uint8Array(32))))
    await bob.privately(thread, encodeRequest({ ask: [id], key: keys.at(-1)! }))
  }
  expect((await ann.hears(thread, 20)).map(({ id }) => id)).toEqual(keys.slice(3))
  const all = toBase64(crypto.getRandomValues(new Uint8Array(32)))
  await bob.privately(thread, encodeRequest({ ask: ids, key: all }))
  expect((await ann.hears(thread, 1))[0]).toEqual({ id: all, device: bob.device, messages: ids })
})

describe('what is malformed', () => {
  const id = '01KSWZNAH2E1GQ4V35F5PQ6SVK'
  const key = toBase64(new Uint8Array(32).fill(7))
  const ids = (n: number) => Array.from({ length: n }, (_, i) => id.slice(0, 23) + String(i).padStart(3, '0'))
  const requests: [string, unknown][] = [
    ['nothing', undefined], ['null', null], ['a number', 1], ['a text', 'ask'], ['a list', []], ['an empty object', {}],
    ['ids that are no list', { ask: id, key }], ['no ids', { ask: [], key }], ['too many ids', { ask: ids(101), key }], ['an id twice', { ask: [id, id], key }],
    ['a number for an id', { ask: [1], key }], ['an id of another kind', { ask: ['../etc'], key }], ['a long id', { ask: [id.repeat(9)], key }],
    ['no key', { ask: [id] }], ['a number for a key', { ask: [id], key: 7 }], ['a short key', { ask: [id], key: 'AAAA' }], ['a long key', { ask: [id], key: key.repeat(100) }],
    ['a key that is no base64', { ask: [id], key: '*'.repeat(44) }], ['a key in another spelling', { ask: [id], key: key.slice(0, -2) + 'd=' }],
    ['an answer to nothing', { of: [id], sealed: 'AAAA' }], ['an answer without a list', { answers: key, of: [id] }], ['a list that is no base64', { answers: key, of: [id], sealed: '*' }],
    ['an answer of no message', { answers: key, of: [], sealed: 'AAAA' }], ['an answer of too many', { answers: key, of: ids(101), sealed: 'AAAA' }],
  ]
  const given: [string, unknown][] = [
    ['an object', {}], ['too many', ids(101).map((one) => ({ id: one, hash: '', text: '' }))], ['a null', [null]], ['no id', [{ hash: '', text: '' }]],
    ['no hash', [{ id, text: '' }]], ['no text', [{ id, hash: '' }]], ['a number for a text', [{ id, hash: '', text: 1 }]], ['a number for a sender', [{ id, hash: '', text: '', by: 1 }]],
  ]
  const json = (value: unknown) => bytes(JSON.stringify(value) ?? '')

  test.each(requests)('is no request: %s', (_, value) => expect(parseRequest(json(value))).toBeUndefined())
  test.each(given)('is no text: %s', (_, value) => expect(parseGiven(json(value))).toBeUndefined())
  test.each([
    ['a request cut short', bytes('{"ask":["')], ['bytes that are no text', Uint8Array.of(0x22, 0xff, 0x22)], ['a deep one', bytes('['.repeat(100_000))],
    ['a huge one', bytes(JSON.stringify({ ask: [id], key, more: 'x'.repeat(300_000) }))],
  ])('is neither: %s', (_, value) => {
    expect(parseRequest(value)).toBeUndefined()
    expect(parseGiven(value)).toBeUndefined()
  })

  test('changes nothing', async () => {
    const { ann, bob, thread, ids: asked } = await lost('one')
    await bob.mls.askAgain(thread, asked)
    const [ask] = await ann.hears(thread)
    const kept = await bob.secrets.get(`again/${thread}`)
    for (const [, value] of requests) await ann.privately(thread, json(value))
    for (const ct of [json({ answers: ask!.id, of: asked, sealed: toBase64(new Uint8Array(80)) }), new Uint8Array(1)]) await ann.privately(thread, ct)
    for (const [, value] of given) await ann.privately(thread, await answerTo(thread, ask!, value as Given[], asked))
    await ann.privately(thread, encodeRequest({ ask: asked, key: toBase64(new Uint8Array(32)) }), bytes('another mark'))
    for (const form of ['AA==', 'Ag==', 'AgAA', toBase64(new Uint8Array(200_000).fill(2)), toBase64(bytes('\x02{"ask":[]}'))]) await ann.control(thread, form)
    await ann.control(thread, (await ann.controls(thread))[0]!.ciphertext) // bob's own, once more
    expect(await bob.texts(thread)).toEqual(['(before_joining)'])
    expect(await bob.secrets.get(`again/${thread}`)).toEqual(kept)
    expect(await bob.mls.asks(thread)).toEqual([])
    expect(bob.errors).toEqual([])
    await ann.mls.answer(thread, ask!.id, true)
    await bob.reads(thread, 'one')
  })

  test('an ask with a key that is none is dropped by its answer', async () => {
    const { ann, bob, thread, ids: asked } = await lost('one')
    await bob.privately(thread, encodeRequest({ ask: asked, key: toBase64(new Uint8Array(32)) }))
    const [ask] = await ann.hears(thread)
    await ann.mls.answer(thread, ask!.id, true)
    expect((await ann.controls(thread)).length).toBe(1)
    expect(await ann.mls.asks(thread)).toEqual([])
  })

  test('a private message is shown as no text', async () => {
    const { ann, bob, thread, ids: asked } = await lost('one')
    await ann.mls.group(thread).use(async (state) => {
      const { newState, privateMessage } = await createApplicationMessage(state!, encodeRequest({ ask: asked, key }), cs, MARK)
      await ann.client.send(thread, toBase64(encodeMlsMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage })))
      return newState
    }, true)
    await bob.reads(thread, '(before_joining)', '(not_encrypted)')
  })
})

test('an ask that the server refuses is not waited for', async () => {
  const { bob, thread, ids } = await lost('one')
  const send = bob.client.sendControl.bind(bob.client)
  bob.client.sendControl = (id, control) => send(id, { ...control, ciphertext: '' })
  await expect(bob.mls.askAgain(thread, ids)).rejects.toMatchObject({ status: 400 })
  expect(await bob.mls.waitingFor(thread)).toEqual([])
  expect(await bob.secrets.get(`again/${thread}`)).toBeUndefined()
  bob.client.sendControl = send
  await bob.mls.askAgain(thread, ids)
  expect(await bob.mls.waitingFor(thread)).toEqual(ids)
})

test('who is not in the group cannot ask', async () => {
  const [ann, old] = await Person.many(2) as [Person, Person]
  const thread = await ann.mls.createThread('GROUP', [old.id])
  await ann.says(thread, 'one')
  for (const p of [ann, old]) await p.leave()
  const bob = await Person.come(old.id, 'new')
  await expect(bob.mls.askAgain(thread, await bob.ids(thread))).rejects.toThrow('not in the group')
  expect((await bob.controls(thread)).length).toBe(0)
})
