/** Something whose present state can be read and watched, in the form that React's useSyncExternalStore asks for. */
export interface Observable<T> {
  subscribe(listener: () => void): () => void
  getSnapshot(): T
}

/** A burst of changes is told once. */
const TELL_MS = 16

/** An Observable that makes its snapshot when it is asked for it, and keeps it until something changes. */
export class Changing<T> implements Observable<T> {
  #listeners = new Set<() => void>()
  #snapshot: T | undefined
  #make: () => T
  #telling = false

  constructor(make: () => T) {
    this.#make = make
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  getSnapshot = (): T => (this.#snapshot ??= this.#make())

  get watched(): boolean {
    return this.#listeners.size > 0
  }

  changed(): void {
    this.#snapshot = undefined
    if (this.#telling || this.#listeners.size === 0) return
    this.#telling = true
    setTimeout(() => {
      this.#telling = false
      for (const listener of [...this.#listeners]) listener()
    }, TELL_MS)
  }
}

/** Listeners by the name of what happens. */
export class Emitter<Events extends Record<string, unknown>> {
  #listeners: { [K in keyof Events]?: Set<(event: Events[K]) => void> } = {}

  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void {
    const set = (this.#listeners[name] ??= new Set())
    set.add(listener)
    return () => set.delete(listener)
  }

  emit<K extends keyof Events>(name: K, event: Events[K]): void {
    for (const listener of [...(this.#listeners[name] ?? [])]) listener(event)
  }
}

/** A pause that ends early when the signal is given. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    if (signal?.aborted) end()
    else signal?.addEventListener('abort', end)
  })
}

/** How long to wait before try number n (0, 1, …): it doubles up to max, and the half of it is drawn by chance. */
export const backoff = (n: number, first = 500, max = 60_000): number => Math.min(max, first * 2 ** n) * (0.5 + Math.random() / 2)
