/** Gives a token that is good now: your app's backend makes it. */
export type TokenProvider = () => Promise<string> | string

/** When a token ends, in milliseconds of Date.now, or Infinity if that cannot be read. */
export function expiryOf(token: string): number {
  try {
    const part = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const exp: unknown = JSON.parse(atob(part)).exp
    return typeof exp === 'number' ? exp * 1000 : Infinity
  } catch {
    return Infinity
  }
}

/** The token in use. It is asked for anew a little before it ends, by one question at a time. */
export class Tokens {
  #provider: TokenProvider
  #current: string | undefined
  #begun = 0
  #asking: Promise<string> | undefined

  constructor(provider: TokenProvider) {
    this.#provider = provider
  }

  async get(): Promise<string> {
    if (this.#current !== undefined && Date.now() < this.renewAt) return this.#current
    return this.renew()
  }

  renew(): Promise<string> {
    return (this.#asking ??= (async () => {
      try {
        this.#current = await this.#provider()
        this.#begun = Date.now()
        return this.#current
      } finally {
        this.#asking = undefined
      }
    })())
  }

  /** When the token should be renewed: 60 s before its end, or after four fifths of a short life. */
  get renewAt(): number {
    if (this.#current === undefined) return 0
    const end = expiryOf(this.#current)
    return Math.max(end - 60_000, this.#begun + (end - this.#begun) * 0.8)
  }
}
