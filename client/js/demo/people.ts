// Who uses the page, and with which tokens. `parley serve --dev` gives it those of demo users; elsewhere
// people paste their own, which stay in this tab.
import { Changing } from '../src/emitter.js'

export interface PeopleSnapshot {
  /** undefined: the server has not said yet who needs no token. */
  demo: readonly string[] | undefined
  /** Those whose messenger can be shown. */
  here: readonly string[]
  /** Whose token is missing or was refused, and why. */
  wanting: Readonly<Record<string, string>>
  unreachable: boolean
}

interface Claims {
  sub: string
  exp: number
  device_id?: string
}

/** What is wrong with a token, in a sentence for who pasted it. */
export class Refusal extends Error {}

class SignedOut extends Error {
  override message = 'signed out'
}

const KEPT = 'parley.people'
const RETRY_MS = 2000

class People {
  readonly view = new Changing<PeopleSnapshot>(() => ({
    demo: this.#demo,
    here: [...(this.#demo ?? []), ...this.#pasted.filter((user) => !this.#demo?.includes(user))],
    wanting: Object.fromEntries([...this.#waiting].map(([user, { why }]) => [user, why])),
    unreachable: this.#unreachable,
  }))

  #demo: string[] | undefined
  #pasted: string[] = JSON.parse(sessionStorage.getItem(KEPT) ?? '[]') as string[]
  #waiting = new Map<string, { why: string; go: (token: string) => void; fail: (error: Error) => void }>()
  #signedOut = new Set<string>()
  #unreachable = false

  /** Asks the server whose tokens it gives, until it answers. */
  async load(): Promise<void> {
    try {
      const answer = await fetch('/demo/users')
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`)
      this.#demo = ((await answer.json()) as { users: string[] }).users
      this.#unreachable = false
    } catch {
      this.#unreachable = true
      setTimeout(() => void this.load(), RETRY_MS)
    }
    this.view.changed()
  }

  /** A token that is good now. Without one it waits until somebody pastes it. */
  token = async (user: string): Promise<string> => {
    if (this.#signedOut.has(user)) throw new SignedOut()
    const kept = sessionStorage.getItem(tokenKey(user))
    if (kept) {
      const why = await refusalOf(kept)
      return why ? this.#wait(user, why) : kept
    }
    if (!this.#demo?.includes(user)) return this.#wait(user, 'There is no token.')
    const answer = await fetch(`/demo/token?user=${encodeURIComponent(user)}`, { method: 'POST' })
    if (answer.status === 404) return this.#wait(user, 'The server gives this page no token: it does so on its own machine only.')
    if (!answer.ok) throw new Error('no token')
    return ((await answer.json()) as { token: string }).token
  }

  /** Takes a pasted token, if the server does. It gives the user. */
  async add(pasted: string, expected: string): Promise<string> {
    const token = pasted.trim().replace(/^Bearer\s+/i, '')
    const { sub } = claimsOf(token)
    if (expected && expected !== sub) throw new Refusal(`This token is of “${sub}”, not of “${expected}”.`)
    const why = await refusalOf(token)
    if (why) throw new Refusal(why)
    sessionStorage.setItem(tokenKey(sub), token)
    this.#signedOut.delete(sub)
    if (!this.#pasted.includes(sub)) this.#keep([...this.#pasted, sub])
    this.#waiting.get(sub)?.go(token)
    this.#waiting.delete(sub)
    this.view.changed()
    return sub
  }

  remove(user: string): void {
    sessionStorage.removeItem(tokenKey(user))
    this.#signedOut.add(user)
    this.#waiting.get(user)?.fail(new SignedOut()) // what waits for a token would wait for ever
    this.#waiting.delete(user)
    this.#keep(this.#pasted.filter((other) => other !== user))
    this.view.changed()
  }

  /** The device that a pasted token is for, if it names one. */
  deviceOf(user: string): string | undefined {
    const token = sessionStorage.getItem(tokenKey(user))
    return token ? claimsOf(token).device_id : undefined
  }

  #keep(pasted: string[]): void {
    this.#pasted = pasted
    sessionStorage.setItem(KEPT, JSON.stringify(pasted))
  }

  #wait(user: string, why: string): Promise<string> {
    return new Promise((go, fail) => {
      this.#waiting.set(user, { why, go, fail })
      this.view.changed()
    })
  }
}

export const people = new People()

const tokenKey = (user: string): string => `parley.token.${user}`

function claimsOf(token: string): Claims {
  try {
    const parts = token.split('.')
    if (parts.length !== 3) throw new Error()
    const bytes = Uint8Array.from(atob(parts[1]!.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Claims>
    if (typeof claims.sub !== 'string' || typeof claims.exp !== 'number') throw new Error()
    return claims as Claims
  } catch {
    throw new Refusal('This is no token. A token is three parts with dots between them, and names its user and its end.')
  }
}

/** Why a token is no good, if it is not: the server is asked. */
async function refusalOf(token: string): Promise<string | undefined> {
  const { device_id, exp } = claimsOf(token)
  if (exp * 1000 < Date.now()) return 'This token has ended.'
  const headers = { Authorization: `Bearer ${token}`, ...(device_id ? { 'X-Device-Id': device_id } : {}) }
  const answer = await fetch('/v1/users/me/unread', { headers })
  if (answer.ok) return undefined
  const problem = (await answer.json().catch(() => ({}))) as { detail?: string; code?: string }
  if (answer.status === 401 || answer.status === 403) return `The server refuses this token: ${problem.detail ?? answer.status}.`
  throw new Error(`The server cannot check the token now: it answered ${answer.status}.`)
}
