// What was written and cannot be encrypted yet. It is kept in this browser, and sent in the order in
// which it was written.
import type { Once, SendOptions } from '../src/index.js'
import { kept } from './kept.js'

export interface Waiting {
  once: Once // by which it is the same message if it is sent again
  text: string
  /** What is sent, once that is known: encrypted again, it would be another message. */
  ciphertext?: string
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

  add(threadId: string, text: string, once: Once, options: SendOptions = {}): void {
    this.#keep(threadId, [...this.of(threadId), { once, text, options, createdAt: new Date().toISOString() }])
  }

  /** Keeps what one is sent as, before it is sent; false if it was taken back meanwhile. */
  seal(threadId: string, { once }: Waiting, ciphertext: string): boolean {
    const texts = this.of(threadId)
    this.#keep(threadId, texts.map((other) => (other.once.key === once.key ? { ...other, ciphertext } : other)))
    return texts.some((other) => other.once.key === once.key)
  }

  /** Takes one out: it is sent, or the person takes it back. */
  remove(threadId: string, { once }: Waiting): void {
    this.#keep(threadId, this.of(threadId).filter((other) => other.once.key !== once.key))
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
