// Devices that cannot go on with the group of a thread, and how they come into it, or into a new one.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGroup, decodeGroupState, encodeGroupState, encodeMlsMessage, type CiphersuiteImpl, type ClientState } from 'ts-mls'
import { defaultClientConfig } from 'ts-mls/clientConfig.js'
import { toBase64, type Message } from '../src/index.js'
import { makeCommit } from '../src/mls/commit.js'
import { encodeEnvelope } from '../src/mls/envelope.js'
import { decodeKeyPackage, makeKeyPackage, type Device } from '../src/mls/identity.js'
import { Encryption, MemorySecrets } from '../src/mls/index.js'
import { leavesOf } from '../src/mls/leaves.js'
import { groupIdOf, groupOf, type GroupRecord } from '../src/mls/record.js'
import { begin, connected, Encrypting, end } from './people.js'
import { until } from './server.js'

let cs: CiphersuiteImpl
beforeAll(async () => {
  cs = await begin()
})
afterAll(end)

let people = 0

class Person extends Encrypting {
  static async come(userId = `anew${++people}`, deviceId = 'd', secrets = new MemorySecrets(), packages = 20): Promise<Person> {
    const client = await connected(userId, deviceId)
    return new Person(client, await Encryption.open(client, { secrets, packages }), secrets)
  }

  static many(n: number): Promise<Person[]> {
    return Promise.all(Array.from({ length: n }, () => Person.come()))
  }

  async leave(): Promise<void> {
    await this.mls.close()
    this.client.close()
  }

  /** The same device, with the secrets that it had or without. */
  async again(secrets = this.secrets): Promise<Person> {
    await this.leave()
    return Person.come(this.id, this.client.deviceId, secrets)
  }

  async texts(thread: string): Promise<string[]> {
    await this.mls.sync(thread)
    const { messages } = await this.client.rest.get<{ messages: Message[] }>(`/v1/threads/${thread}/messages`)
    const shown = messages.filter((m) => m.content_type !== 'control').reverse().map((m) => this.mls.load(m))
    return (await Promise.all(shown)).map((revealed) => (!revealed ? '…' : 'text' in revealed ? revealed.text : `(${revealed.why})`))
  }

  async control(thread: string, ciphertext: string): Promise<void> {
    const epoch = (await this.epoch(thread)) + 1
    await this.client.sendControl(thread, { key: crypto.randomUUID(), clientSeq: this.client.nextClientSeq(), ciphertext, epoch })
  }

  async controls(thread: string): Promise<Message[]> {
    const { messages } = await this.client.rest.get<{ messages: Message[] }>(`/v1/threads/${thread}/messages`, { content_type: 'control' })
    return messages.filter((m) => m.content_type === 'control').reverse()
  }

  async state(thread: string): Promise<ClientState | undefined> {
    const { state } = (await this.secrets.get<GroupRecord>(`group/${thread}`)) ?? {}
    return state && { ...decodeGroupState(state, 0)![0], clientConfig: defaultClientConfig }
  }

  /** Which of the thread's groups this device is in, and the devices in it. */
  async group(thread: string): Promise<string> {
    await this.mls.sync(thread)
    const state = await this.state(thread)
    return state ? `${groupOf(state.groupContext.groupId, thread)}: ${leavesOf(state).map(({ device }) => `${device.userId}/${device.deviceId}`).sort()}` : 'none'
  }

  /** The key with which others have put a person's device into the group; "own" once the device has made its own by a commit. */
  async leafOf(thread: string, of: Person): Promise<string | undefined> {
    const leaf = leavesOf((await this.state(thread))!).find(({ device }) => device.userId === of.id)?.leaf
    return leaf?.leafNodeSource === 'key_package' ? toBase64(leaf.hpkePublicKey) : leaf && 'own'
  }

  async isIn(thread: string): Promise<void> {
    await until(`${this.id} is in`, async () => (await this.mls.standing(thread)).state === 'in')
  }
}

const names = (...of: Person[]) => of.map((p) => `${p.id}/${p.client.deviceId}`).sort().join()

describe('an old welcome leads nobody back', () => {
  /** Ann, mal, whose client is of its own making, and bob, who has one key package for all groups. */
  const three = async () => {
    const [ann, mal] = await Person.many(2) as [Person, Person]
    const bob = await Person.come(undefined, 'd', undefined, 0)
    const thread = await ann.mls.createThread('GROUP', [mal.id, bob.id])
    await ann.mls.sendText(thread, 'one')
    for (const p of [mal, bob]) await p.reads(thread, 'one')
    await mal.mls.close()
    const [first] = await ann.controls(thread)
    return { ann, mal, bob, thread, first: first! }
  }

  test('who was let out of the group', async () => {
    const { ann, mal, bob, thread, first } = await three()
    const state = (await mal.state(thread))!
    const removed = leavesOf(state).find(({ device }) => device.userId === bob.id)!.index
    const made = await makeCommit(state, cs, [{ proposalType: 'remove', remove: { removed } }])
    await mal.control(thread, toBase64(made!.envelope))
    expect(await bob.group(thread)).toBe('none')
    await mal.control(thread, first.ciphertext)
    expect(await bob.group(thread)).toBe('none')
    await bob.mls.tend(thread)
    await bob.isIn(thread)
    await bob.mls.sendText(thread, 'bob is back')
    await ann.reads(thread, 'one', 'bob is back')
  })

  test('who was out of the thread', async () => {
    const { ann, mal, bob, thread, first } = await three()
    await Person.come(mal.id, 'other')
    ann.mls.group(thread).changed()
    await ann.mls.sendText(thread, 'two')
    await bob.reads(thread, 'one', 'two')
    await ann.mls.close()
    await ann.client.removeParticipant(thread, bob.id)
    await until('bob is out', () => bob.client.thread(thread).record?.left)
    await ann.client.addParticipant(thread, bob.id)
    await mal.control(thread, first.ciphertext)
    await until('bob is in it again', () => !bob.client.thread(thread).record?.left)
    await bob.mls.sync(thread)
    expect((await bob.secrets.get<GroupRecord>(`group/${thread}`))!.epoch).toBe(await ann.epoch(thread))
    expect((await bob.state(thread))!.groupContext.epoch).toBe(2n)
  })
})

describe('a device that is left behind', () => {
  /** Cat has missed a commit of ann's, who has deleted it before cat saw it. */
  const leftBehind = async () => {
    const [ann, bob, cat, dan] = await Person.many(4) as [Person, Person, Person, Person]
    const thread = await ann.mls.createThread('GROUP', [bob.id, cat.id])
    await ann.mls.sendText(thread, 'first')
    for (const p of [bob, cat]) await p.reads(thread, 'first')
    await cat.leave()
    await ann.mls.addParticipant(thread, dan.id)
    for (const p of [bob, dan]) await p.mls.sync(thread)
    const commit = (await ann.controls(thread)).at(-1)!
    await ann.client.delete(thread, commit.id)
    return { ann, bob, cat: await Person.come(cat.id, 'd', cat.secrets), dan, thread }
  }

  test('is let in anew when it sees that the others went on', async () => {
    const { ann, bob, cat, dan, thread } = await leftBehind()
    const before = await ann.epoch(thread)
    await ann.mls.sendText(thread, 'missed')
    await until('it is left behind', async () => (await cat.texts(thread)).at(-1) === '(no_key)')
    await until('it is let in', async () => (await ann.epoch(thread)) > before)
    await cat.isIn(thread)
    await ann.mls.sendText(thread, 'next')
    await cat.reads(thread, 'first', '(no_key)', 'next')
    await cat.mls.sendText(thread, 'thanks')
    for (const p of [ann, bob]) await p.reads(thread, 'first', 'missed', 'next', 'thanks')
    // All members have heard it, and one of them has replaced the leaf.
    for (const p of [ann, bob, dan]) await p.mls.tend(thread)
    expect(await ann.epoch(thread)).toBe(before + 1)
    for (const p of [ann, bob, cat, dan]) expect(await p.group(thread)).toBe(`0: ${names(ann, bob, cat, dan)}`)
  })

  test('makes no commit of its own, and asks when it is to write', async () => {
    const { ann, bob, cat, dan, thread } = await leftBehind()
    const before = await ann.epoch(thread)
    await expect(cat.mls.sendText(thread, 'too early')).rejects.toThrow('not in the group')
    expect(await ann.epoch(thread)).toBe(before)
    expect((await cat.mls.standing(thread)).state).toBe('outside')
    await cat.isIn(thread)
    await cat.mls.sendText(thread, 'here I am')
    for (const p of [ann, bob]) await p.reads(thread, 'first', 'here I am')
    await dan.reads(thread, 'here I am')
    await cat.reads(thread, 'first', 'here I am')
  })

  test('because it could not follow a commit', async () => {
    const [ann, bob, cat] = await Person.many(3) as [Person, Person, Person]
    const thread = await ann.mls.createThread('GROUP', [bob.id])
    await ann.mls.sendText(thread, 'first')
    await bob.reads(thread, 'first')
    await bob.leave()
    const record = (await bob.secrets.get<GroupRecord>(`group/${thread}`))!
    const state = decodeGroupState(record.state!, 0)![0]
    const privatePath = { ...state.privatePath, privateKeys: {} }
    await bob.secrets.write(new Map([[`group/${thread}`, { ...record, state: encodeGroupState({ ...state, privatePath } as ClientState) }]]))
    const broken = await Person.come(bob.id, 'd', bob.secrets)
    await ann.mls.addParticipant(thread, cat.id)
    await broken.mls.sync(thread)
    expect((await broken.mls.standing(thread)).state).toBe('in') // it cannot know yet whether others could
    await ann.mls.removeParticipant(thread, cat.id)
    await ann.mls.sendText(thread, 'without cat')
    await until('it is in', async () => (await broken.group(thread)) === `0: ${names(ann, bob)}` && (await broken.mls.standing(thread)).state === 'in')
    await ann.mls.sendText(thread, 'again')
    await until('it reads', async () => (await broken.texts(thread)).at(-1) === 'again')
  })

  test('by epochs that somebody has made up is none', async () => {
    const [ann, bob, mal] = await Person.many(3) as [Person, Person, Person]
    const thread = await ann.mls.createThread('GROUP', [bob.id, mal.id])
    await ann.mls.sendText(thread, 'first')
    for (const epoch of [2n, 3n, 1000n]) await mal.control(thread, commitAt(groupIdOf(thread, 0), epoch))
    await ann.mls.sendText(thread, 'second')
    await bob.reads(thread, 'first', 'second')
    for (const p of [ann, bob]) expect((await p.mls.standing(thread)).state).toBe('in')
  })
})

/** A commit of nobody's, as anybody can make one. */
function commitAt(groupId: Uint8Array, epoch: bigint): string {
  const privateMessage = { groupId, epoch, contentType: 'commit' as const, authenticatedData: new Uint8Array(), encryptedSenderData: new Uint8Array(4), ciphertext: new Uint8Array(4) }
  return toBase64(encodeEnvelope({ commit: encodeMlsMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage }) }))
}

test('a device that asks again and again has its own leaf replaced once', async () => {
  const [ann, bob, eve] = await Person.many(3) as [Person, Person, Person]
  const thread = await ann.mls.createThread('GROUP', [bob.id, eve.id])
  await bob.mls.sendText(thread, 'first') // who has written in a thread gets its signals
  for (const p of [ann, eve]) await p.reads(thread, 'first')
  const [ofBob, ofEve] = [await ann.leafOf(thread, bob), await ann.leafOf(thread, eve)]
  const before = await ann.epoch(thread)
  const heard: string[] = []
  for (const p of [ann, bob]) p.client.events.on('signal', () => heard.push(p.id))
  const ask = async () => {
    const all = heard.length + 2
    eve.client.signal(thread, 'mls.join', '')
    await until('it is heard', () => heard.length === all)
  }
  await ask()
  await until('one is made', async () => (await ann.epoch(thread)) > before)
  for (let n = 0; n < 3; n++) {
    await ask()
    for (const p of [ann, bob]) await p.mls.tend(thread)
  }
  expect(await ann.epoch(thread)).toBe(before + 1)
  expect([ofBob, 'own']).toContain(await ann.leafOf(thread, bob))
  expect(await ann.leafOf(thread, eve)).not.toBe(ofEve)
  await eve.mls.sendText(thread, 'still here')
  for (const p of [ann, bob, eve]) await p.reads(thread, 'first', 'still here')
})

test('a device that asks once more before it knows that it is in stays where it is', async () => {
  const [ann, eve] = await Person.many(2) as [Person, Person]
  const thread = await ann.mls.createThread('GROUP', [eve.id])
  await eve.mls.sendText(thread, 'first')
  await ann.reads(thread, 'first')
  const before = await ann.epoch(thread)
  let heard = 0
  ann.client.events.on('signal', () => heard++)
  const ask = async (of: string) => {
    const all = heard + 1
    eve.client.signal(thread, 'mls.join', of)
    await until('it is heard', () => heard >= all)
    await ann.mls.tend(thread)
  }
  await ask('')
  expect(await ann.epoch(thread)).toBe(before)
  // It says that it cannot go on with its leaf, and then reads of its end in the commit that lets it in anew.
  await ask(btoa('0'))
  expect(await ann.epoch(thread)).toBe(before + 1)
  await ann.mls.sendText(thread, 'second')
  await eve.reads(thread, 'first', 'second')
})

describe('begin anew', () => {
  test('after a false first commit', async () => {
    const [ann, bob, mal] = await Person.many(3) as [Person, Person, Person]
    const thread = await ann.client.createThread('GROUP', [bob.id, mal.id])
    await mal.control(thread, commitAt(groupIdOf(thread, 0), 0n))
    await expect(ann.mls.sendText(thread, 'hello')).rejects.toThrow('not in the group')
    expect((await bob.mls.standing(thread)).state).toBe('outside')
    await ann.mls.beginAnew(thread)
    await ann.mls.sendText(thread, 'hello')
    await bob.reads(thread, 'hello')
    await bob.mls.sendText(thread, 'at last')
    await ann.reads(thread, 'hello', 'at last')
    expect(await bob.group(thread)).toBe(`2: ${names(ann, bob, mal)}`)
  })

  test('in a thread that has no group begins its first', async () => {
    const [ann, bob] = await Person.many(2) as [Person, Person]
    const thread = await ann.client.createThread('1_TO_1', [bob.id])
    await ann.mls.beginAnew(thread)
    await ann.mls.sendText(thread, 'hello')
    await bob.reads(thread, 'hello')
    expect(await bob.group(thread)).toBe(`0: ${names(ann, bob)}`)
  })

  test('by one of two people who have lost their keys', async () => {
    const [old, other] = await Person.many(2) as [Person, Person]
    const thread = await old.mls.createThread('1_TO_1', [other.id])
    await old.mls.sendText(thread, 'lost')
    await other.reads(thread, 'lost')
    const [ann, bob] = [await old.again(new MemorySecrets()), await other.again(new MemorySecrets())]
    await expect(ann.mls.sendText(thread, 'hello')).rejects.toThrow('not in the group')
    await ann.mls.beginAnew(thread)
    await ann.mls.sendText(thread, 'hello')
    await bob.reads(thread, '(before_joining)', 'hello')
    await bob.mls.sendText(thread, 'hello too')
    await ann.reads(thread, '(before_joining)', 'hello', 'hello too')
  })

  test('takes along who was in the older group, and nobody who is out of the thread', async () => {
    const [old, bob, cat, dan] = await Person.many(4) as [Person, Person, Person, Person]
    const thread = await old.mls.createThread('GROUP', [bob.id, cat.id])
    await old.mls.sendText(thread, 'old')
    for (const p of [bob, cat]) await p.reads(thread, 'old')
    const [late] = await old.controls(thread)
    const ann = await old.again(new MemorySecrets())
    await ann.client.thread(thread).open()
    await ann.mls.beginAnew(thread)
    await cat.mls.sendText(thread, 'new')
    for (const p of [ann, bob]) await until('it reads', async () => (await p.texts(thread)).at(-1) === 'new')
    for (const p of [ann, bob, cat]) expect(await p.group(thread)).toBe(`2: ${names(ann, bob, cat)}`)
    // What is of the older group comes to nothing.
    await cat.control(thread, late!.ciphertext)
    await ann.mls.removeParticipant(thread, cat.id)
    await bob.mls.addParticipant(thread, dan.id)
    await dan.mls.sendText(thread, 'without cat')
    for (const p of [ann, bob]) await until('it reads', async () => (await p.texts(thread)).at(-1) === 'without cat')
    for (const p of [ann, bob, dan]) expect(await p.group(thread)).toBe(`2: ${names(ann, bob, dan)}`)
  })

  test('by two at once ends in one group', async () => {
    const [old, other, cat] = await Person.many(3) as [Person, Person, Person]
    const thread = await old.mls.createThread('GROUP', [other.id, cat.id])
    await old.mls.sendText(thread, 'old')
    await cat.reads(thread, 'old')
    const [ann, bob] = [await old.again(new MemorySecrets()), await other.again(new MemorySecrets())]
    await Promise.all([ann.mls.beginAnew(thread), bob.mls.beginAnew(thread)])
    for (const p of [ann, bob, cat]) await p.mls.sendText(thread, `from ${p.id}`)
    for (const p of [ann, bob, cat]) {
      await until('all are read', async () => (await p.texts(thread)).slice(1).join() === [ann, bob, cat].map(({ id }) => `from ${id}`).join())
    }
    const group = await ann.group(thread)
    expect(group).toMatch(/^[1-9]/)
    for (const p of [bob, cat]) expect(await p.group(thread)).toBe(group)
  })

  test('is not repeated by who shows it again', async () => {
    const [ann, mal] = await Person.many(2) as [Person, Person]
    const bob = await Person.come(undefined, 'd', undefined, 0)
    const thread = await ann.mls.createThread('GROUP', [bob.id, mal.id])
    await ann.mls.beginAnew(thread)
    const beginning = (await ann.controls(thread)).at(-1)!
    for (const p of [ann, bob]) expect(await p.group(thread)).toBe(`2: ${names(ann, bob, mal)}`)
    await mal.control(thread, beginning.ciphertext)
    await ann.mls.sendText(thread, 'second')
    await bob.reads(thread, 'second')
    await ann.mls.beginAnew(thread)
    await mal.control(thread, beginning.ciphertext)
    await bob.mls.sendText(thread, 'fourth')
    await ann.reads(thread, 'second', 'fourth')
    for (const p of [ann, bob]) expect(await p.group(thread)).toBe(`4: ${names(ann, bob, mal)}`)
    const late = await Person.come(bob.id, 'late')
    ann.mls.group(thread).changed()
    await ann.mls.sendText(thread, 'to all')
    await until('it reads', async () => (await late.texts(thread)).at(-1) === 'to all')
    expect((await late.secrets.get<GroupRecord>(`group/${thread}`))!.later).toBeUndefined()
  })

  test('without welcomes harms nobody', async () => {
    const [ann, bob, mal] = await Person.many(3) as [Person, Person, Person]
    const thread = await ann.mls.createThread('GROUP', [bob.id, mal.id])
    await ann.mls.sendText(thread, 'first')
    const group = groupIdOf(thread, (await ann.epoch(thread)) + 1)
    const own = await makeKeyPackage(cs, { userId: mal.id, deviceId: 'd' }, await cs.signature.keygen(), 1)
    const made = await makeCommit(await createGroup(group, decodeKeyPackage(own.public)!, own.private, [], cs, defaultClientConfig), cs, [])
    await mal.control(thread, toBase64(made!.envelope))
    for (const false_ of [groupIdOf(thread, 999), groupIdOf(thread, 2 ** 53 - 1), groupIdOf('other', 0)]) await mal.control(thread, commitAt(false_, 5n))
    await bob.mls.sendText(thread, 'all the same')
    await ann.reads(thread, 'first', 'all the same')
    await bob.mls.beginAnew(thread)
    await ann.mls.sendText(thread, 'and anew')
    await bob.reads(thread, 'first', 'all the same', 'and anew')
  })
})

test('who is told of a device that comes to another of the same person', async () => {
  const [ann, bob] = await Person.many(2) as [Person, Person]
  const told: [string, { threadId: string; device: Device }][] = []
  for (const p of [ann, bob]) p.mls.events.on('device_added', (added) => told.push([p.id, added]))
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  await bob.mls.sync(thread)
  const laptop = await Person.come(bob.id, 'laptop')
  laptop.mls.events.on('device_added', (added) => told.push(['laptop', added]))
  ann.mls.group(thread).changed()
  await ann.mls.sendText(thread, 'to both')
  for (const p of [bob, laptop]) await p.reads(thread, 'to both')
  const device = { userId: bob.id, deviceId: 'laptop' }
  expect(told.sort()).toEqual([[ann.id, { threadId: thread, device }], [bob.id, { threadId: thread, device }]].sort())
  // Another person, and the same device anew, are none.
  const cat = await Person.come()
  await ann.mls.addParticipant(thread, cat.id)
  const again = await laptop.again(new MemorySecrets())
  ann.mls.group(thread).changed()
  await ann.mls.sendText(thread, 'to all')
  for (const p of [bob, cat, again]) await until('it reads', async () => (await p.texts(thread)).at(-1) === 'to all')
  expect(told.length).toBe(2)
})
