/** Standard base64 of bytes, as the contract has it. */
export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000))
  return btoa(binary)
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}

/** A text as base64 of its UTF-8. This is no encryption: a client that needs it puts its own in this place. */
export const encodeText = (text: string): string => toBase64(new TextEncoder().encode(text))

export const decodeText = (base64: string): string => new TextDecoder().decode(fromBase64(base64))
