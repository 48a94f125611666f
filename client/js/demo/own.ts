// What a person keeps of a conversation for itself: where it stands in the list, and the entries of
// the menus that change it.
import type { ThreadSummary } from '../src/index.js'
import type { Session } from './session.js'
import type { MenuEntry } from './ui.js'

export const PLACES = ['inbox', 'requests', 'archived'] as const
export type Place = (typeof PLACES)[number]

/** Muted until somebody turns it on again. */
const FOR_EVER = '9999-12-31T23:59:59.000Z'
const HOUR_MS = 3_600_000

type Owned = Pick<ThreadSummary, 'thread'>

/** Where a conversation is listed. A request that was put away is with the archived ones. */
export const placeOf = ({ thread: { me } }: Owned): Place => (me.archived ? 'archived' : me.accepted ? 'inbox' : 'requests')

export const isMuted = ({ thread: { me } }: Owned): boolean => me.muted_until !== null && Date.parse(me.muted_until) > Date.now()

export const isUnread = (t: Pick<ThreadSummary, 'thread' | 'unread'>): boolean => t.unread > 0 || t.thread.me.marked_unread

export function ownEntries(session: Session, t: ThreadSummary): (MenuEntry | false)[] {
  const { client } = session
  const { me } = t.thread
  const set = (change: Parameters<typeof client.setMe>[1]) => () => void session.try(client.setMe(t.id, change))
  const muted = isMuted(t)
  const newest = t.newest?.id
  const read = () => void session.try(newest && t.unread > 0 ? client.read(t.id, newest) : client.setMe(t.id, { marked_unread: false }))
  return [
    isUnread(t) ? { label: 'Mark as read', icon: 'check', onSelect: read } : { label: 'Mark as unread', icon: 'dot', onSelect: set({ marked_unread: true }) },
    me.accepted && { label: me.pinned ? 'Unpin from the top' : 'Pin to the top', icon: 'pin', onSelect: set({ pinned: !me.pinned }) },
    muted && { label: 'Unmute', icon: 'bell', onSelect: set({ muted_until: null }) },
    !muted && { label: 'Mute for an hour', icon: 'mute', onSelect: () => set({ muted_until: new Date(Date.now() + HOUR_MS).toISOString() })() },
    !muted && { label: 'Mute until turned on', icon: 'mute', onSelect: set({ muted_until: FOR_EVER }) },
    me.archived ? { label: 'Unarchive', icon: 'archive', onSelect: set({ archived: false }) } : { label: 'Archive', icon: 'archive', onSelect: set({ archived: true }) },
  ]
}
