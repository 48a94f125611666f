// What a control message of a thread holds for MLS. With an epoch it is a commit, and with it the welcome
// of those whom it lets in: both are in one message, so that a commit never stands without its welcome.
// Without an epoch it is a private message for those in the group, about texts that are sent again.

/** The first byte: which form the rest has. */
const FORM = 1
const PRIVATE_FORM = 2

export interface Envelope {
  /** An MLSMessage (RFC 9420, 6), as bytes. */
  commit: Uint8Array
  welcome?: Uint8Array
}

/** The form, the commit's length in four bytes, the commit, and the welcome if there is one. */
export function encodeEnvelope({ commit, welcome }: Envelope): Uint8Array {
  const bytes = new Uint8Array(5 + commit.length + (welcome?.length ?? 0))
  bytes[0] = FORM
  new DataView(bytes.buffer).setUint32(1, commit.length)
  bytes.set(commit, 5)
  if (welcome) bytes.set(welcome, 5 + commit.length)
  return bytes
}

/** Undefined for what is no envelope, or one of a form that a later version made. */
export function decodeEnvelope(bytes: Uint8Array): Envelope | undefined {
  if (bytes.length < 5 || bytes[0] !== FORM) return undefined
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1)
  if (5 + length > bytes.length) return undefined
  const welcome = bytes.subarray(5 + length)
  return { commit: bytes.subarray(5, 5 + length), ...(welcome.length > 0 ? { welcome } : {}) }
}

/** The form, and an MLSMessage (RFC 9420, 6). */
export function encodePrivate(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + message.length)
  bytes[0] = PRIVATE_FORM
  bytes.set(message, 1)
  return bytes
}

/** Undefined for what is of another form. */
export function decodePrivate(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.length > 1 && bytes[0] === PRIVATE_FORM ? bytes.subarray(1) : undefined
}
