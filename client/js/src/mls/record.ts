import { decodeGroupState, encodeGroupState, type ClientConfig, type ClientState } from 'ts-mls'
import type { Checked } from './membership.js'

/** A commit on its way out: it may be stored already, or another one may have taken its epoch. */
export interface Pending {
  key: string
  clientSeq: number
  ciphertext: string
  epoch: number
  /** The group's state if it is taken. */
  state: Uint8Array
}

/** A place in the history of a thread: one of its groups, and an epoch of MLS in it. */
export interface Place {
  /** The thread's epoch that the group's first commit took; 0 for the first group of a thread. */
  group: number
  epoch: bigint
}

/** What is kept of a thread's group. */
export interface GroupRecord {
  /** The id of the store whose log it is. */
  store?: string | undefined
  /** Every event of the thread up to this one was looked at. */
  seq: number
  /** The thread's epoch behind that event, as far as this user sees it. Not that of MLS: a control message may take one and be no commit. */
  epoch: number
  /** A commit of somebody's was seen: the thread has a group. */
  begun?: true
  /** The group's state behind that event; none while the device is in no group. */
  state?: Uint8Array
  pending?: Pending
  /** The user came into the thread while the device was in its group: others may have let it out meanwhile, and let it in anew. */
  back?: true
  /** When this device came into the group, by the server's clock. */
  since?: string
  checked?: Checked
  /** The latest place at which this device was. It stays when the device is let out: no welcome leads back. */
  top?: Place | undefined
  /** So many messages could not be read, since the state is what it is, each of which may have been a commit to it. */
  unread?: number | undefined
  /** So many commits to the state of members, since it is what it is, could not be followed. */
  unfollowed?: number | undefined
  /** The log is now that of another store: commits may be missing in it. */
  restored?: true | undefined
  /** The others went on without this device: it missed a commit, and waits for a member to let it in anew. */
  behind?: true | undefined
  /** The latest group of the thread, if that is later than this device's: it was begun without this device. */
  later?: number | undefined
}

/** Where a device is behind an event: what it keeps of the group, and the group's state as it works with it. */
export interface Standpoint {
  record: GroupRecord
  state: ClientState | undefined
}

/** What to keep of a standpoint. */
export const recordOf = ({ record, state }: Standpoint): GroupRecord => ({ ...record, state: state && encodeGroupState(state) })

/** The name of a group: that of its thread, and with it the thread's epoch for one that was begun anew. */
export const groupIdOf = (threadId: string, group: number): Uint8Array => new TextEncoder().encode(group === 0 ? threadId : `${threadId}/${group}`)

/** Which group of a thread has this name; undefined if none has. */
export function groupOf(groupId: Uint8Array, threadId: string): number | undefined {
  const name = new TextDecoder().decode(groupId)
  if (name === threadId) return 0
  const number = name.startsWith(`${threadId}/`) ? name.slice(threadId.length + 1) : ''
  return /^[1-9]\d{0,15}$/.test(number) && Number.isSafeInteger(Number(number)) ? Number(number) : undefined
}

export const placeOf = ({ groupContext: { groupId, epoch } }: ClientState, threadId: string): Place => ({ group: groupOf(groupId, threadId) ?? 0, epoch })

export function isLater(a: Place, b: Place | undefined): boolean {
  return !b || a.group > b.group || (a.group === b.group && a.epoch > b.epoch)
}

/** A device that has come into a group at that place. What it knew of the state before is of no use. */
export const entered = ({ store, seq, epoch, later }: GroupRecord, place: Place, since: string): GroupRecord => ({
  store, seq, epoch, begun: true, since, top: place, later: later && later > place.group ? later : undefined,
})

/** A device whose state follows the group's: nothing before it matters any more. */
export const inStep = (record: GroupRecord): GroupRecord => ({ ...record, unread: undefined, unfollowed: undefined, restored: undefined, behind: undefined })

/**
 * A device that sees a message of its group which it cannot open, with an epoch that is so much above its
 * own: it is left behind if as many messages as that are missing. Otherwise the epoch is made up.
 */
export function missing(record: GroupRecord, above: bigint): GroupRecord {
  const missed = (record.unread ?? 0) + (record.unfollowed ?? 0)
  const left = record.restored ? true : missed > 0 && above <= BigInt(missed)
  return left ? { ...record, behind: true } : record
}

export function decodeState(bytes: Uint8Array | undefined, config: ClientConfig): ClientState | undefined {
  const [state] = (bytes && decodeGroupState(bytes, 0)) ?? []
  return state && { ...state, clientConfig: config }
}
