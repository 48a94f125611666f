import { fromBase64 } from '../bytes.js'
import { decodeEnvelope, decodePrivate } from './envelope.js'
import { decodeMls } from './leaves.js'

/** What can be seen of a ciphertext without a key: the server sees it too. */
export type Seen =
  | { kind: 'message'; epoch: number; bytes: number }
  | { kind: 'commit'; epoch: number; bytes: number; welcome: boolean }
  | { kind: 'again'; epoch: number; bytes: number } // an ask for texts, or an answer to one

/** Undefined for what is neither a message nor a control message of this module. */
export function inspect(ciphertext: string): Seen | undefined {
  const bytes = bytesOf(ciphertext)
  if (!bytes) return undefined
  const envelope = decodeEnvelope(bytes)
  const again = decodePrivate(bytes)
  const message = decodeMls(envelope?.commit ?? again ?? bytes)
  if (message?.wireformat !== 'mls_private_message') return undefined
  const { contentType, epoch } = message.privateMessage
  if (envelope && contentType === 'commit') return { kind: 'commit', epoch: Number(epoch), bytes: bytes.length, welcome: envelope.welcome !== undefined }
  return !envelope && contentType === 'application' ? { kind: again ? 'again' : 'message', epoch: Number(epoch), bytes: bytes.length } : undefined
}

function bytesOf(base64: string): Uint8Array | undefined {
  try {
    return fromBase64(base64)
  } catch {
    return undefined
  }
}
