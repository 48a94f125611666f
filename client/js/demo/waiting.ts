// What was written and cannot be encrypted yet. It is kept in this browser, and sent in the order in
// which it was written.
import type { SendOptions } from '../src/index.js'
import { kept } from './kept.js'

export interface Waiting {
  waits: string // which one it is
  text: string
  options: SendOptions
  createdAt: string
}

const prefix = (user: string): string => kept(user, 'waiting', '')

export class WaitingTexts {
  #user: string
  #changed: () => void
  #known = new Map<string, readonly Waiting[]>()

  constructor(user: string, changed: () => void) {
    this.#user = user
    this.#changed = changed
    window.addEventListener('storage', this.#elsewhere)
    this.#read()
  }

  close(): void {
    window.removeEventListener('storage', this.#elsewhere)
  }

  /** Another tab has written. */
  #elsewhere = ({ key }: StorageEvent): void => {
    if (key === null || key.startsWith(prefix(this.#user))) this.#read()
  }

  #read(): void {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix(this.#user)))
    this.#known = new Map(keys.map((key) => [key.slice(prefix(this.#user).length), JSON.parse(localStorage.getItem(key)!) as Waiting[]]))
    this.#changed()
  }

  /** The conversations in which something waits. */
  get threads(): string[] {
    return [...this.#known.keys()]
  }

  of(threadId: string): readonly Waiting[] {
    return this.#known.get(threadId) ?? NONE
  }

  add(threadId: string, text: string, options: SendOptions = {}): void {
    this.#keep(threadId, [...this.of(threadId), { waits: crypto.randomUUID(), text, options, createdAt: new Date().toISOString() }])
  }

  /** Takes one out: it is sent, or the person takes it back. */
  remove(threadId: string, { waits }: Waiting): void {
    this.#keep(threadId, this.of(threadId).filter((other) => other.waits !== waits))
  }

  #keep(threadId: string, texts: readonly Waiting[]): void {
    if (texts.length > 0) {
      localStorage.setItem(prefix(this.#user) + threadId, JSON.stringify(texts))
      this.#known.set(threadId, texts)
    } else {
      localStorage.removeItem(prefix(this.#user) + threadId)
      this.#known.delete(threadId)
    }
    this.#changed()
  }
}

const NONE: readonly Waiting[] = []
