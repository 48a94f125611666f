import type { CiphersuiteImpl, ClientState, PrivateMessage } from 'ts-mls'
import { decryptSenderData } from 'ts-mls/privateMessage.js'
import type { RatchetTree } from 'ts-mls/ratchetTree.js'
import { leafToNodeIndex, toLeafIndex } from 'ts-mls/treemath.js'
import { deviceOf, type Device } from './identity.js'

/** A device and the key that it signs with: another installation of it has another one. */
export interface Signer {
  device: Device
  publicKey: Uint8Array
}

/** Whose leaf has signed a message that was decrypted, and with which key. Undefined for a leaf of no device. */
export async function signerOf(message: PrivateMessage, state: ClientState, cs: CiphersuiteImpl): Promise<Signer | undefined> {
  const past = state.historicalReceiverData.get(message.epoch)
  const secret = past?.senderDataSecret ?? state.keySchedule.senderDataSecret
  const tree: RatchetTree = past?.ratchetTree ?? state.ratchetTree
  const sender = await decryptSenderData(message, secret, cs)
  const node = sender && tree[leafToNodeIndex(toLeafIndex(sender.leafIndex))]
  if (node?.nodeType !== 'leaf') return undefined
  const device = deviceOf(node.leaf.credential)
  return device && { device, publicKey: node.leaf.signaturePublicKey }
}
