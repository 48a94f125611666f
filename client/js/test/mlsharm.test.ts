// What people of a thread, the server and a failing disk can do to a group.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  createCommit, createGroup, decodeGroupState, decodeMlsMessage, encodeMlsMessage, type CiphersuiteImpl, type ClientState, type Proposal,
} from 'ts-mls'
import { defaultClientConfig } from 'ts-mls/clientConfig.js'
import { toBase64 } from '../src/index.js'
import { makeCommit, type Made } from '../src/mls/commit.js'
import { decodeEnvelope, encodeEnvelope } from '../src/mls/envelope.js'
import { decodeKeyPackage, makeKeyPackage, type Identity } from '../src/mls/identity.js'
import { Encryption, MemorySecrets } from '../src/mls/index.js'
import { joinGroup } from '../src/mls/join.js'
import { leavesOf } from '../src/mls/leaves.js'
import { begin, connected, Encrypting, end, server } from './people.js'
import { until } from './server.js'

let cs: CiphersuiteImpl
beforeAll(async () => {
  cs = await begin()
})
afterAll(end)

/** Fails to write what has a key that begins so, once. */
class FailingSecrets extends MemorySecrets {
  fails: string | undefined

  override async write(changes: ReadonlyMap<string, unknown>): Promise<void> {
    const fails = this.fails !== undefined && [...changes.keys()].some((key) => key.startsWith(this.fails!))
    if (!fails) return super.write(changes)
    this.fails = undefined
    throw new Error('the disk is full')
  }
}

let people = 0

class Person extends Encrypting {
  static async come(userId = `harm${++people}`, deviceId = 'd', secrets = new MemorySecrets()): Promise<Person> {
    const client = await connected(userId, deviceId)
    return new Person(client, await Encryption.open(client, { secrets, packages: 20 }), secrets)
  }

  static many(n: number): Promise<Person[]> {
    return Promise.all(Array.from({ length: n }, () => Person.come()))
  }

  /** The devices in the group of a thread, as this one sees it. */
  async group(thread: string): Promise<string[]> {
    return (await this.mls.group(thread).members()).map(({ device }) => `${device.userId}/${device.deviceId}`).sort()
  }

  async texts(thread: string): Promise<string[]> {
    await this.mls.sync(thread)
    const { messages } = await this.client.rest.get<{ messages: { ciphertext: string; content_type: string; sender_id: string; thread_id: string }[] }>(`/v1/threads/${thread}/messages`)
    const shown = messages.filter((m) => m.content_type !== 'control').reverse().map((m) => this.mls.load(m))
    return (await Promise.all(shown)).map((revealed) => (!revealed ? '…' : 'text' in revealed ? revealed.text : `(${revealed.why})`))
  }

  async control(thread: string, ciphertext: string, epoch?: number): Promise<void> {
    await this.client.sendControl(thread, { key: crypto.randomUUID(), clientSeq: this.client.nextClientSeq(), ciphertext, ...(epoch ? { epoch } : {}) })
  }

  /** The group's own state, as a client of the person's making has it. */
  async state(thread: string): Promise<ClientState> {
    const { state } = (await this.secrets.get<{ state: Uint8Array }>(`group/${thread}`))!
    return { ...decodeGroupState(state, 0)![0], clientConfig: defaultClientConfig }
  }

}

const names = (...of: Person[]) => of.map((p) => `${p.id}/${p.client.deviceId}`).sort()

test('a text that the server shows in another thread, as of who wrote it, is refused there', async () => {
  const [ann, bob, cat] = await Person.many(3) as [Person, Person, Person]
  const pair = await ann.mls.createThread('1_TO_1', [bob.id])
  const group = await ann.mls.createThread('GROUP', [bob.id, cat.id])
  await ann.mls.sendText(pair, 'yes')
  await ann.mls.sendText(group, 'shall we?')
  await bob.reads(pair, 'yes')
  const { messages } = await ann.client.rest.get<{ messages: { ciphertext: string; content_type: string }[] }>(`/v1/threads/${pair}/messages`)
  const { ciphertext } = messages.find((m) => m.content_type === 'text')!
  await ann.client.rest.request('POST', `/v1/threads/${group}/messages`, { // as the server could, without her
    body: { client_seq: ann.client.nextClientSeq(), ciphertext, content_type: 'text' }, idempotencyKey: 'moved',
  })
  await bob.reads(group, 'shall we?', '(another_thread)')
  await ann.reads(group, 'shall we?', '(another_thread)')
  await cat.reads(group, 'shall we?', '(no_key)')
  await bob.reads(pair, 'yes')
})

describe('a key package that no group can take', () => {
  /** Uploads what another device of a person would, with an identity of that person's choice. */
  const upload = async (userId: string, deviceId: string, identity: Identity) => {
    const device = await connected(userId, deviceId)
    const own = await makeKeyPackage(cs, { userId, deviceId }, identity, 1)
    const key = { key_id: 1, public_key: toBase64(own.public), signature: 'AAAA' }
    const body = { identity_key: toBase64(identity.publicKey), signed_prekey: key, last_resort_prekey: key, one_time_prekeys: [] }
    await device.rest.request('PUT', '/v1/users/me/prekeys', { body })
  }

  test('keeps nobody in, and nobody out', async () => {
    const [ann, bob, eve, mal, cat] = await Person.many(5) as [Person, Person, Person, Person, Person]
    const thread = await ann.mls.createThread('GROUP', [bob.id, eve.id, mal.id])
    await ann.mls.sendText(thread, 'all')
    const { identity } = (await eve.secrets.get<{ identity: Identity }>('ring'))!
    await upload(eve.id, 'e2', identity)
    await ann.client.removeParticipant(thread, mal.id)
    ann.mls.group(thread).changed()
    await ann.mls.sendText(thread, 'without mal')
    expect(await ann.group(thread)).toEqual(names(ann, bob, eve))
    await bob.mls.addParticipant(thread, cat.id)
    await cat.mls.sendText(thread, 'with cat')
    await ann.reads(thread, 'all', 'without mal', 'with cat')

    const other = await cat.mls.createThread('GROUP', [bob.id, eve.id])
    expect(await cat.group(other)).toEqual(names(cat, bob, eve))
  })

  test('is asked for less and less often', async () => {
    const [ann, bob] = await Person.many(2) as [Person, Person]
    const thread = await ann.mls.createThread('GROUP', [bob.id])
    const device = await connected(bob.id, 'e2')
    const key = { key_id: 1, public_key: 'AAAA', signature: 'AAAA' }
    const body = { identity_key: 'AAAA', signed_prekey: key, last_resort_prekey: key, one_time_prekeys: [] }
    await device.rest.request('PUT', '/v1/users/me/prekeys', { body })
    const { rest } = ann.client
    const request = vi.spyOn(rest, 'request')
    const now = vi.spyOn(Date, 'now')
    const asked = async (at: number) => {
      now.mockReturnValue(at)
      request.mockClear()
      for (let n = 0; n < 5; n++) {
        ann.mls.group(thread).changed()
        await ann.mls.sendText(thread, 'for bob')
      }
      return request.mock.calls.filter(([, path]) => path.endsWith('/prekeys')).length
    }
    try {
      const start = Date.now()
      const times = [0, 29, 30, 149, 150, 629, 630].map((seconds) => start + 1000 * seconds)
      const counts: number[] = []
      for (const at of times) counts.push(await asked(at))
      expect(counts).toEqual([2, 0, 1, 0, 1, 0, 1])
      expect(await ann.group(thread)).toEqual(names(ann, bob))
    } finally {
      vi.restoreAllMocks()
    }
  })
})

test('a message is not sent to who could not be let out', async () => {
  const [ann, bob, mal, eve] = await Person.many(4) as [Person, Person, Person, Person]
  const thread = await ann.mls.createThread('GROUP', [bob.id, mal.id, eve.id])
  await ann.mls.sendText(thread, 'all')
  await ann.client.removeParticipant(thread, mal.id)
  ann.mls.group(thread).changed()
  await bob.mls.close()
  await eve.mls.close()
  const send = ann.client.sendControl.bind(ann.client)
  ann.client.sendControl = async (id, control) => {
    await eve.control(id, 'AAAA', (await eve.epoch(id)) + 1)
    return send(id, control)
  }
  await expect(ann.mls.sendText(thread, 'without mal')).rejects.toThrow('others were faster')
  ann.client.sendControl = send
  await ann.mls.sendText(thread, 'now')
  expect(await ann.group(thread)).toEqual(names(ann, bob, eve))
  await ann.reads(thread, 'all', 'now')
})

test('a commit that the server refuses is not sent again', async () => {
  const [ann, bob, cat] = await Person.many(3) as [Person, Person, Person]
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  await bob.mls.sync(thread)
  await bob.mls.close()
  const send = ann.client.sendControl.bind(ann.client)
  let first: string | undefined
  ann.client.sendControl = (id, control) => {
    first ??= control.key
    return send(id, control.key === first ? { ...control, ciphertext: toBase64(new Uint8Array(256 * 1024 + 1)) } : control)
  }
  await expect(ann.mls.addParticipant(thread, cat.id)).rejects.toMatchObject({ code: 'ciphertext_too_large' })
  ann.mls.group(thread).changed()
  await ann.mls.sendText(thread, 'three')
  expect(await ann.group(thread)).toEqual(names(ann, bob, cat))
  await cat.reads(thread, 'three')
})

describe('commits of what others have uploaded', () => {
  const own = async (userId: string, suite = cs) => makeKeyPackage(suite, { userId, deviceId: 'd' }, await cs.signature.keygen(), 1)
  const group = async () => {
    const first = await own('first')
    return createGroup(new TextEncoder().encode('thread'), decodeKeyPackage(first.public)!, first.private, [], cs, defaultClientConfig)
  }
  const addition = ({ public: encoded }: { public: Uint8Array }): Proposal => ({ proposalType: 'add', add: { keyPackage: decodeKeyPackage(encoded)! } })
  const usersIn = ({ state }: Made) => leavesOf(state).map(({ device }) => device.userId)

  test('are as many as it takes', async () => {
    const leaves = ({ ratchetTree }: ClientState) => ratchetTree.filter((node) => node?.nodeType === 'leaf').length
    const many = await Promise.all(Array.from({ length: 120 }, (_, n) => own(`${n}`.padStart(1500, 'x'))))
    const made: Made[] = []
    for (let state = await group(), rest = many.map(addition); made.length === 0 || rest.length > 0; ) {
      const next = (await makeCommit(state, cs, rest))!
      made.push(next)
      state = next.state
      rest = next.rest
    }
    expect(made.length).toBeGreaterThan(1)
    for (const { envelope } of made) expect(envelope.length).toBeLessThanOrEqual(256 * 1024)
    expect(leaves(made.at(-1)!.state)).toBe(121)
    const [message] = decodeMlsMessage(decodeEnvelope(made.at(-1)!.envelope)!.welcome!, 0)!
    const last = many.at(-1)!
    const joined = message.wireformat === 'mls_welcome' && (await joinGroup(message.welcome, decodeKeyPackage(last.public)!, last.private, cs, defaultClientConfig))
    expect(joined && leaves(joined)).toBe(121)
  })

  test('leave out who has the key of another that comes', async () => {
    const pair = await cs.hpke.generateKeyPair()
    let n = 0
    const twins = { ...cs, hpke: { ...cs.hpke, generateKeyPair: () => (n++ % 2 ? Promise.resolve(pair) : cs.hpke.generateKeyPair()) } }
    const come = [await own('a', twins), await own('b', twins), await own('c')].map(addition)
    let made = (await makeCommit(await group(), cs, come))!
    while (made.rest.length > 0) made = (await makeCommit(made.state, cs, made.rest)) ?? { ...made, rest: [] }
    expect(usersIn(made)).toEqual(['first', 'a', 'c'])
    expect(await makeCommit(made.state, cs, [come[1]!])).toBeUndefined()
  })
})

describe('a write that fails once', () => {
  /** Ann and bob, who hears of nothing by himself. */
  const two = async () => {
    const secrets = new FailingSecrets()
    const [ann, bob] = [await Person.come(), await Person.come(undefined, 'd', secrets)]
    const thread = await ann.mls.createThread('1_TO_1', [bob.id])
    await ann.mls.sendText(thread, 'first')
    await bob.reads(thread, 'first')
    bob.client.close()
    const again = await Person.come(bob.id, 'd', secrets)
    again.client.close()
    return { ann, bob: again, thread, secrets }
  }

  test('loses no text', async () => {
    const { ann, bob, thread, secrets } = await two()
    await ann.mls.sendText(thread, 'precious')
    await until('it is sent', () => ann.client.getSnapshot().outgoing === 0)
    secrets.fails = 'text/'
    await expect(bob.mls.sync(thread)).rejects.toThrow('disk')
    await bob.mls.sync(thread)
    await bob.mls.close()
    await (await Person.come(bob.id, 'd', secrets)).reads(thread, 'first', 'precious')
  })

  test('makes nobody miss a commit', async () => {
    const { ann, bob, thread, secrets } = await two()
    await Person.come(ann.id, 'laptop')
    ann.mls.group(thread).changed()
    await ann.mls.sendText(thread, 'to the laptop too')
    await until('it is sent', () => ann.client.getSnapshot().outgoing === 0)
    secrets.fails = 'trusted/'
    await expect(bob.mls.sync(thread)).rejects.toThrow('disk')
    await bob.reads(thread, 'first', 'to the laptop too')
  })
})

test('a restored store makes no group deaf', async () => {
  const [ann, bob] = await Person.many(2) as [Person, Person]
  const thread = await ann.mls.createThread('1_TO_1', [bob.id])
  await ann.mls.sendText(thread, 'kept')
  await bob.reads(thread, 'kept')
  server.backup()
  const lost = ['lost 1', 'lost 2', 'lost 3']
  for (const text of lost) await ann.mls.sendText(thread, text)
  await bob.reads(thread, 'kept', ...lost)
  await server.restore()
  for (const { client } of [ann, bob]) {
    client.hurry()
    await until('it is there again', () => client.online)
  }
  await ann.mls.sendText(thread, 'after')
  await bob.reads(thread, 'kept', 'after')
  await bob.mls.sendText(thread, 'indeed')
  await ann.reads(thread, 'kept', 'after', 'indeed')
})

describe('who has a client of his own making', () => {
  test('ends no group', async () => {
    const [ann, bob, mal] = await Person.many(3) as [Person, Person, Person]
    const thread = await ann.mls.createThread('GROUP', [bob.id, mal.id])
    await mal.mls.sync(thread)
    const reinit: Proposal = {
      proposalType: 'reinit', reinit: { groupId: new TextEncoder().encode(thread), version: 'mls10', cipherSuite: cs.name, extensions: [] },
    }
    const { commit } = await createCommit({ state: await mal.state(thread), cipherSuite: cs }, { extraProposals: [reinit] })
    await mal.control(thread, toBase64(encodeEnvelope({ commit: encodeMlsMessage(commit) })), (await mal.epoch(thread)) + 1)
    await ann.mls.removeParticipant(thread, mal.id)
    await bob.mls.sendText(thread, 'it goes on')
    await ann.reads(thread, 'it goes on')
    expect(await bob.group(thread)).toEqual(names(ann, bob))
  })

  test('begins none by a commit that has no epoch', async () => {
    const [ann, mal] = await Person.many(2) as [Person, Person]
    const thread = await ann.client.createThread('GROUP', [mal.id])
    const privateMessage = {
      groupId: new TextEncoder().encode(thread), epoch: 0n, contentType: 'commit' as const, authenticatedData: new Uint8Array(),
      encryptedSenderData: new Uint8Array(4), ciphertext: new Uint8Array(4),
    }
    await mal.control(thread, toBase64(encodeEnvelope({ commit: encodeMlsMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage }) })))
    await ann.mls.sendText(thread, 'all the same')
    await mal.reads(thread, 'all the same')
  })
})

test('what the server shows in the place of an own commit is not taken for it', async () => {
  const [ann, bob, cat] = await Person.many(3) as [Person, Person, Person]
  const thread = await ann.mls.createThread('GROUP', [bob.id])
  await ann.mls.sync(thread)
  const send = ann.client.sendControl.bind(ann.client)
  ann.client.sendControl = async (id, control) => {
    ann.client.sendControl = send
    await send(id, { ...control, key: crypto.randomUUID(), clientSeq: ann.client.nextClientSeq(), ciphertext: 'AAAA' })
    throw new TypeError('no answer')
  }
  await expect(ann.mls.addParticipant(thread, cat.id)).rejects.toThrow('no answer')
  await ann.mls.sync(thread)
  await ann.mls.sendText(thread, 'to all')
  for (const p of [bob, cat]) await p.reads(thread, 'to all')
})
