// What is read of a group and its messages without changing anything.
import { decodeMlsMessage, type ClientState, type LeafNode, type MLSMessage } from 'ts-mls'
import { deviceOf, type Device } from './identity.js'

/** An MLSMessage; undefined for what is none. */
export function decodeMls(bytes: Uint8Array): MLSMessage | undefined {
  try {
    return decodeMlsMessage(bytes, 0)?.[0]
  } catch {
    return undefined
  }
}

export interface Leaf {
  index: number
  device: Device
  leaf: LeafNode
}

/** The devices in a group, by their places in its tree. */
export function leavesOf(state: ClientState): Leaf[] {
  const leaves: Leaf[] = []
  state.ratchetTree.forEach((node, at) => {
    if (node?.nodeType !== 'leaf') return
    const device = deviceOf(node.leaf.credential)
    if (device) leaves.push({ index: at / 2, device, leaf: node.leaf })
  })
  return leaves
}
