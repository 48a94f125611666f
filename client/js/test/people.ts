// The server of a file of tests, and devices on it that encrypt.
import WebSocket from 'ws'
import { getCiphersuiteFromName, getCiphersuiteImpl, type CiphersuiteImpl } from 'ts-mls'
import { Client, jsonTransport } from '../src/index.js'
import type { Encryption, MemorySecrets } from '../src/mls/index.js'
import { Server, token, until } from './server.js'

export const server = new Server()
const ends: (() => void)[] = []

/** Starts the server, and gives what MLS is done with beside the module. */
export async function begin(): Promise<CiphersuiteImpl> {
  await server.start()
  return getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'))
}

export async function end(): Promise<void> {
  for (const close of ends) close()
  await server.remove()
}

export async function connected(userId: string, deviceId: string): Promise<Client> {
  const client = new Client({ url: server.url, userId, deviceId, token: () => token(userId), transport: jsonTransport({ WebSocket: WebSocket as never }) })
  ends.push(() => client.close())
  await client.connect()
  await until(`${userId} online`, () => client.online)
  return client
}

/** A connected device that encrypts. */
export abstract class Encrypting {
  protected constructor(readonly client: Client, readonly mls: Encryption, readonly secrets: MemorySecrets) {}

  get id(): string {
    return this.client.userId
  }

  /** What the messages of a thread say, the oldest first. */
  abstract texts(thread: string): Promise<string[]>

  async reads(thread: string, ...want: string[]): Promise<void> {
    let got: string[] = []
    await until('it', async () => (got = await this.texts(thread)).join() === want.join()).catch(() => {
      throw new Error(`${this.id}/${this.client.deviceId} reads ${got}, not ${want}`)
    })
  }

  async epoch(thread: string): Promise<number> {
    return (await this.client.rest.get<{ epoch: number }>(`/v1/threads/${thread}`)).epoch
  }
}
