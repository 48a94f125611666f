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
}

/** Where a device is behind an event: what it keeps of the group, and the group's state as it works with it. */
export interface Standpoint {
  record: GroupRecord
  state: ClientState | undefined
}

/** What to keep of a standpoint. */
export const recordOf = ({ record, state }: Standpoint): GroupRecord => ({ ...record, state: state && encodeGroupState(state) })

export function decodeState(bytes: Uint8Array | undefined, config: ClientConfig): ClientState | undefined {
  const [state] = (bytes && decodeGroupState(bytes, 0)) ?? []
  return state && { ...state, clientConfig: config }
}
