import type { StoredMessage, ThreadSummary } from '../src/index.js'
import type { Session } from './session.js'

export const nameOf = (user: string): string => user.charAt(0).toUpperCase() + user.slice(1)

export function titleOf(t: Pick<ThreadSummary, 'thread' | 'participants'>, self: string): string {
  if (t.thread.title) return t.thread.title
  const others = t.participants.filter((p) => p.user_id !== self).map((p) => nameOf(p.user_id))
  return others.join(', ') || 'Just you'
}

export const otherOf = (t: Pick<ThreadSummary, 'thread' | 'participants'>, self: string): string | undefined =>
  t.thread.type === '1_TO_1' ? t.participants.find((p) => p.user_id !== self)?.user_id : undefined

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' })
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

export const timeOf = (iso: string): string => clock.format(new Date(iso))
export const dateOf = (iso: string): string => day.format(new Date(iso))
export const fullTimeOf = (iso: string): string => full.format(new Date(iso))

const daysAgo = (iso: string): number => Math.round((new Date().setHours(0, 0, 0, 0) - new Date(iso).setHours(0, 0, 0, 0)) / 86_400_000)

export function shortTimeOf(iso: string): string {
  const ago = daysAgo(iso)
  return ago === 0 ? timeOf(iso) : ago < 7 ? weekday.format(new Date(iso)) : day.format(new Date(iso))
}

export function dayOf(iso: string): string {
  const ago = daysAgo(iso)
  return ago === 0 ? 'Today' : ago === 1 ? 'Yesterday' : longDay.format(new Date(iso))
}

export function agoOf(iso: string | null): string {
  if (!iso) return 'offline'
  const minutes = Math.floor((Date.now() - Date.parse(iso)) / 60_000)
  return minutes < 1 ? 'last seen just now' : minutes < 60 ? `last seen ${minutes} min ago` : `last seen ${shortTimeOf(iso)}`
}

export const gone = (m: StoredMessage, now = Date.now()): boolean => m.deleted || (m.expires_at !== null && Date.parse(m.expires_at) <= now)

/** What a message says to this person, in words. */
export function previewOf(m: StoredMessage, session: Session): string {
  if (gone(m)) return m.expires_at ? 'This message has disappeared' : 'This message was deleted'
  return session.secrecy.contentOf(m).text
}

export function leftOf(seconds: number): string {
  if (seconds >= 86_400) return `${Math.ceil(seconds / 86_400)} d`
  if (seconds >= 3600) return `${Math.ceil(seconds / 3600)} h`
  if (seconds >= 60) return `${Math.ceil(seconds / 60)} min`
  return `${Math.max(0, Math.ceil(seconds))} s`
}

/** A colour for a name, always the same one. */
export function hueOf(name: string): number {
  const known: Record<string, number> = { alice: 14, bob: 232, carol: 300 }
  let h = 0
  for (const c of name) h = (h * 31 + c.codePointAt(0)!) % 360
  return known[name] ?? h
}
