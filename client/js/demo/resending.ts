// Texts that are sent again: what this device asks others for, and what others ask it for.
import type { Ask, Device, Encryption } from '../src/mls/index.js'

/** A device that asks for texts which this one has, in one or more asks. */
export interface Asking {
  device: Device
  asks: readonly string[]
  messages: number
}

export interface Resent {
  asking: readonly Asking[]
  /** The messages that this device has asked for. */
  waiting: ReadonlySet<string>
}

const NOTHING: Resent = { asking: [], waiting: new Set() }

export class Resending {
  #known = new Map<string, Resent>()
  #changed: () => void

  constructor(changed: () => void) {
    this.#changed = changed
  }

  of(threadId: string): Resent {
    return this.#known.get(threadId) ?? NOTHING
  }

  clear(): void {
    this.#known.clear()
  }

  /** Reads what is asked for in a conversation. What others ask for stays as it was while the server is away. */
  async read(mls: Encryption, threadId: string): Promise<void> {
    const before = this.of(threadId)
    const waiting = new Set(await mls.waitingFor(threadId))
    const asks = await mls.asks(threadId).catch(() => undefined)
    const after = { waiting, asking: asks ? byDevice(asks) : before.asking }
    if (JSON.stringify([before.asking, [...before.waiting]]) === JSON.stringify([after.asking, [...waiting]])) return
    this.#known.set(threadId, after)
    this.#changed()
  }

  async ask(mls: Encryption, threadId: string, ids: string[]): Promise<void> {
    await mls.askAgain(threadId, ids)
    await this.read(mls, threadId)
  }

  async answer(mls: Encryption, threadId: string, { asks }: Asking, give: boolean): Promise<void> {
    for (const id of asks) await mls.answer(threadId, id, give)
    await this.read(mls, threadId)
  }
}

function byDevice(asks: Ask[]): Asking[] {
  const all = new Map<string, Asking>()
  for (const { id, device, messages } of asks) {
    const name = `${device.userId}/${device.deviceId}`
    const { asks: others, messages: count } = all.get(name) ?? { asks: [], messages: 0 }
    all.set(name, { device, asks: [...others, id], messages: count + messages.length })
  }
  return [...all.values()]
}
