// A group of 16 over the nodes that PARLEY_NODES names (addresses, with a comma between), whose secret is
// PARLEY_SECRET. TestEncryptedGroupOverThreeNodes of the end-to-end suite runs it.
import WebSocket from 'ws'
import { afterAll, expect, test } from 'vitest'
import { Client, jsonTransport } from '../src/index.js'
import { Encryption } from '../src/mls/index.js'
import { mqttTransport } from '../src/mqtt.js'
import { token, until } from './server.js'

const nodes = process.env.PARLEY_NODES?.split(',') ?? []
const everybody: Person[] = []
afterAll(() => {
  for (const { client } of everybody) client.close()
})

/** A person with one device at one of the nodes, over one of the protocols. */
class Person {
  private constructor(readonly client: Client, readonly mls: Encryption) {}

  static async come(n: number): Promise<Person> {
    const userId = `member${n}`
    const client = new Client({
      url: nodes[n % nodes.length]!, userId, deviceId: 'd', token: () => token(userId),
      transport: n % 2 ? mqttTransport() : jsonTransport({ WebSocket: WebSocket as never }),
    })
    await client.connect()
    await until(`${userId} online`, () => client.getSnapshot().state === 'online')
    const person = new Person(client, await Encryption.open(client, { packages: 30 }))
    everybody.push(person)
    return person
  }

  get id(): string {
    return this.client.userId
  }

  /** What it can read in the thread, and why it cannot read the rest. */
  async reads(thread: string): Promise<string[]> {
    await this.mls.sync(thread)
    const all: string[] = []
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page: { messages: { ciphertext: string; content_type: string }[]; next_cursor: string | null } =
        await this.client.rest.get(`/v1/threads/${thread}/messages`, { page_size: 100, cursor })
      for (const message of page.messages) {
        if (message.content_type === 'control') continue
        const revealed = await this.mls.load(message)
        all.push(revealed ? ('text' in revealed ? revealed.text : revealed.why) : 'nothing')
      }
      cursor = page.next_cursor
    }
    return all
  }
}

test.skipIf(!nodes.length)('sixteen people, whose group is changed by several at once', async () => {
  const people: Person[] = []
  for (let n = 0; n < 16; n++) people.push(await Person.come(n))
  const first = people.slice(0, 12)
  const thread = await first[0]!.mls.createThread('GROUP', first.slice(1).map((p) => p.id))

  const said: string[][] = [[], [], []]
  const talk = async (phase: number, senders: Person[], messages: number) => {
    for (let n = 0; n < messages; n += senders.length) {
      await Promise.all(senders.slice(0, messages - n).map(async (p, i) => {
        const text = `${phase}:${n + i} from ${p.id}`
        said[phase]!.push(text)
        await p.mls.sendText(thread, text)
      }))
    }
    await until('all are sent', () => senders.every((p) => p.client.getSnapshot().outgoing === 0))
  }
  await talk(0, first, 40)

  const stay = first.slice(0, 10)
  const [out, late] = [first.slice(10), people.slice(12)]
  const admin = first[0]!
  await admin.client.setRole(thread, first[1]!.id, 'admin')
  await Promise.all([
    admin.mls.addParticipant(thread, late[0]!.id), stay[2]!.mls.addParticipant(thread, late[1]!.id),
    stay[3]!.mls.addParticipant(thread, late[2]!.id), stay[4]!.mls.addParticipant(thread, late[3]!.id),
    first[1]!.mls.removeParticipant(thread, out[0]!.id).then(() => admin.mls.removeParticipant(thread, out[1]!.id)),
    talk(1, stay.slice(5), 30),
  ])
  const members = [...stay, ...late]
  for (const p of members) p.mls.group(thread).changed()
  await talk(2, members, 30)

  const sorted = (texts: string[]) => [...texts].sort()
  for (const p of stay) expect(sorted(await p.reads(thread)), p.id).toEqual(sorted(said.flat()))
  for (const p of late) {
    const reads = await p.reads(thread)
    expect(sorted(reads.filter((text) => text.startsWith('2:'))), p.id).toEqual(sorted(said[2]!))
    // What was encrypted before they came may be stored after that: there is no key for it then.
    for (const text of reads) expect(['before_joining', 'no_key', ...said.flat()], p.id).toContain(text)
  }
  for (const p of members) {
    const leaves = await p.mls.group(thread).members()
    expect(sorted(leaves.map(({ device }) => device.userId)), p.id).toEqual(sorted(members.map((m) => m.id)))
  }
  const { epoch } = await admin.client.rest.get<{ epoch: number }>(`/v1/threads/${thread}`)
  console.log(`100 messages of 16 people over ${nodes.length} nodes, ${epoch} epochs`)
})
