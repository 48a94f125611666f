// What the private control messages say: an ask for texts, or an answer to one. Whoever is in the group
// writes them, so nothing in them is believed before it was looked at.
import { fromBase64, toBase64 } from '../bytes.js'

/** So many messages are asked for at a time. */
export const ASKED = 100

/** A longer list of texts is no answer: no control message holds it. */
const REQUEST_BYTES = 256 * 1024

/** An ask for the texts of messages. Its key names it. */
export interface AskRequest {
  ask: string[]
  /** An HPKE public key that was made for this ask, as base64. */
  key: string
}

/** Some of what an ask was for. */
export interface AnswerRequest {
  answers: string
  /** The messages whose texts are in it. */
  of: string[]
  /** The list of what is given, for the key of the ask. */
  sealed: Uint8Array
}

/** A text as it is given. */
export interface Given {
  id: string
  /** Of the ciphertext that the text was sent in. */
  hash: string
  text: string
  /** The sender that another device of the same user knew. */
  by?: string
}

export const encodeRequest = (request: AskRequest | AnswerRequest): Uint8Array =>
  encode('ask' in request ? request : { ...request, sealed: toBase64(request.sealed) })

export const encodeGiven = (given: Given[]): Uint8Array => encode(given)

/** Undefined for what is neither an ask nor an answer. */
export function parseRequest(bytes: Uint8Array): AskRequest | AnswerRequest | undefined {
  const said = parse(bytes)
  if (!isRecord(said)) return undefined
  if (areIds(said.ask) && isKey(said.key)) return { ask: said.ask, key: said.key }
  const sealed = typeof said.sealed === 'string' ? bytesOf(said.sealed) : undefined
  return isKey(said.answers) && areIds(said.of) && sealed ? { answers: said.answers, of: said.of, sealed } : undefined
}

/** Undefined if anything in it is no text. */
export function parseGiven(bytes: Uint8Array): Given[] | undefined {
  const said = parse(bytes)
  return Array.isArray(said) && said.length <= ASKED && said.every(isGiven) ? said : undefined
}

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

function parse(bytes: Uint8Array): unknown {
  if (bytes.length > REQUEST_BYTES) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const isId = (value: unknown): value is string => typeof value === 'string' && /^[0-9A-HJKMNP-TV-Z]{26}$/.test(value)

const areIds = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.length <= ASKED && value.every(isId) && new Set(value).size === value.length

/** 32 bytes, in the one way to write them: another would be another name of the same ask. */
const isKey = (value: unknown): value is string => typeof value === 'string' && value.length === 44 && bytesOf(value)?.length === 32

const isGiven = (value: unknown): value is Given =>
  isRecord(value) && isId(value.id) && typeof value.hash === 'string' && typeof value.text === 'string' && (value.by === undefined || typeof value.by === 'string')

function bytesOf(base64: string): Uint8Array | undefined {
  try {
    const bytes = fromBase64(base64)
    return toBase64(bytes) === base64 ? bytes : undefined
  } catch {
    return undefined
  }
}
