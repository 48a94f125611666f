// The names of the contract, taken from the types that are made of its documents. What the documents
// do not have yet, and a newer server may send, stands here by hand and is optional.
import type { components as rest } from './generated/openapi.js'
import type { components as realtime } from './generated/asyncapi.js'

type S = rest['schemas']
type R = realtime['schemas']

export type Message = S['Message']
export type Participant = S['Participant']
export type Pin = S['Pin']
export type Problem = S['Problem']
export type Receipts = S['Receipts']
export type ContentType = S['ContentType']
export type SendMessage = S['SendMessage']
export type Reaction = S['Reaction']

/** A viewer's own state of a thread. */
export type Me = S['Thread']['me']
/** A change of it: what is absent stays. */
export type OwnState = S['SetOwnState']
/** What all devices of the viewer have in common of it. */
export type SharedState = R['SharedState']

export type Device = S['Device']
export type Block = S['Block']
export type ReportReason = S['ReportReason']
export type ReportReceipt = S['ReportReceipt']

export type Thread = S['Thread']
export type ThreadWithParticipants = S['ThreadWithParticipants']

/** A durable event of a thread's log, as `GET …/events` gives it. */
export type ThreadEvent = S['Event']
export type MsgEvent = S['MsgEvent']

/** What a page of events is. */
export interface EventPage {
  events: ThreadEvent[]
  next_since_seq: number | null
  store_id?: string
}

type Newer = { t: 'prekeys_low'; one_time_prekeys?: number; pq_one_time_prekeys?: number; frame_seq: number }

export type DeliveredFrame = R['DeliveredFrame']
export type ReadFrame = R['ReadFrame']
export type FailedFrame = R['FailedFrame']
export type Receipt = DeliveredFrame | ReadFrame | FailedFrame

/** A frame from the server. Frames of types that are not known here come too, and are ignored. */
export type Frame =
  | (ThreadEvent & { frame_seq: number })
  | Receipt
  | R['TypingFrame']
  | R['PresenceFrame']
  | R['HelloFrame']
  | R['CaughtUpFrame']
  | R['TokenExpiringFrame']
  | R['AuthFrame']
  | R['SignalFrame']
  | R['ThreadStateFrame']
  | R['DevicesFrame']
  | R['PingFrame']
  | R['ErrorFrame']
  | Newer

export type Signal = Extract<Frame, { t: 'signal' }>
export type Presence = { status: 'online' | 'offline'; last_seen_at: string | null }
