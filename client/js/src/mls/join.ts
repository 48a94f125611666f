import {
  emptyPskIndex, zeroOutUint8Array, type CiphersuiteImpl, type ClientConfig, type ClientState, type GroupContext, type KeyPackage, type PrivateKeyPackage,
  type Welcome,
} from 'ts-mls'
import { validateRatchetTree } from 'ts-mls/clientState.js'
import { extensionsSupportedByCapabilities } from 'ts-mls/extension.js'
import { ratchetTreeFromExtension, verifyGroupInfoConfirmationTag, verifyGroupInfoSignature } from 'ts-mls/groupInfo.js'
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js'
import { deriveKeySchedule } from 'ts-mls/keySchedule.js'
import { verifyParentHashes } from 'ts-mls/parentHash.js'
import { pathToRoot } from 'ts-mls/pathSecrets.js'
import { mergePrivateKeyPaths, toPrivateKeyPath } from 'ts-mls/privateKeyPath.js'
import { accumulatePskSecret } from 'ts-mls/pskIndex.js'
import { findLeafIndex, type RatchetTree } from 'ts-mls/ratchetTree.js'
import { createSecretTree } from 'ts-mls/secretTree.js'
import { treeHashRoot } from 'ts-mls/treeHash.js'
import { directPath, isLeaf, leafToNodeIndex, leafWidth, toLeafIndex, toNodeIndex } from 'ts-mls/treemath.js'
import { firstCommonAncestor } from 'ts-mls/updatePath.js'
import { decryptGroupInfo, decryptGroupSecrets } from 'ts-mls/welcome.js'
import { hex, sameBytes } from './identity.js'

/**
 * Joins a group by a welcome (RFC 9420, 12.4.3.1), with no keys shared before. It throws for a welcome
 * that is not to be trusted.
 *
 * The joinGroup of ts-mls 1.6 is not used, for it refuses sound trees: where one parent has leaves that
 * are not merged into it, it wants the same list of every parent above. Two who are let in at places far
 * apart make the lists differ, and so does a commit between.
 */
export async function joinGroup(
  welcome: Welcome, keyPackage: KeyPackage, keys: PrivateKeyPackage, cs: CiphersuiteImpl, config: ClientConfig,
): Promise<ClientState> {
  const initKey = await cs.hpke.importPrivateKey(keys.initPrivateKey)
  const secrets = await decryptGroupSecrets(initKey, await makeKeyPackageRef(keyPackage, cs.hash), welcome, cs.hpke)
  need(secrets, 'a welcome without secrets')
  const { joinerSecret, pathSecret } = secrets
  const [pskSecret] = await accumulatePskSecret(secrets.psks, emptyPskIndex, cs, new Uint8Array(cs.kdf.size))
  const info = await decryptGroupInfo(welcome, joinerSecret, pskSecret, cs)
  need(info, 'a welcome without a group')
  const { groupContext, confirmationTag } = info
  need(groupContext.cipherSuite === keyPackage.cipherSuite, 'another cipher suite')
  need(extensionsSupportedByCapabilities(groupContext.extensions, keyPackage.leafNode.capabilities), 'an unknown extension')

  const tree = ratchetTreeFromExtension(info)
  need(tree, 'a welcome without a tree')
  const signer = toLeafIndex(info.signer)
  const signing = tree[leafToNodeIndex(signer)]
  need(signing?.nodeType === 'leaf', 'nobody has signed the welcome')
  need(await verifyGroupInfoSignature(info, signing.leaf.signaturePublicKey, cs.signature), 'the signature of the welcome is wrong')
  await checkTree(tree, groupContext, cs, config)
  const own = findLeafIndex(tree, keyPackage.leafNode)
  need(own !== undefined, 'this device has no leaf')
  need(await verifyGroupInfoConfirmationTag(info, joinerSecret, pskSecret, cs), 'the confirmation tag is wrong')

  const leafKey = { leafIndex: own, privateKeys: { [leafToNodeIndex(own)]: keys.hpkePrivateKey } }
  const path = pathSecret && (await pathToRoot(tree, firstCommonAncestor(tree, own, signer), pathSecret, cs.kdf))
  const [keySchedule, encryptionSecret] = await deriveKeySchedule(joinerSecret, pskSecret, groupContext, cs.kdf)
  const secretTree = await createSecretTree(leafWidth(tree.length), encryptionSecret, cs.kdf)
  zeroOutUint8Array(encryptionSecret)
  zeroOutUint8Array(joinerSecret)
  return {
    groupContext, ratchetTree: tree, keySchedule, secretTree, confirmationTag,
    privatePath: path ? mergePrivateKeyPaths(await toPrivateKeyPath(path, own, cs), leafKey) : leafKey,
    signaturePrivateKey: keys.signaturePrivateKey, unappliedProposals: {}, historicalReceiverData: new Map(),
    groupActiveState: { kind: 'active' }, clientConfig: config,
  }
}

/** Throws unless the tree is the group's and sound: its leaves, its parents, and how they hang together. */
export async function checkTree(tree: RatchetTree, context: GroupContext, cs: CiphersuiteImpl, config: ClientConfig): Promise<void> {
  need(tree.every((node, at) => !node || (node.nodeType === 'leaf') === isLeaf(toNodeIndex(at))), 'a node in a place of the other kind')
  const leaves = tree.map((node) => (node?.nodeType === 'leaf' ? node : undefined))
  const wrong = await validateRatchetTree(leaves, context, config.lifetimeConfig, config.authService, await treeHashRoot(leaves, cs.hash), cs)
  if (wrong) throw wrong
  const keys = new Set(leaves.flatMap((node) => (node?.nodeType === 'leaf' ? [hex(node.leaf.hpkePublicKey)] : [])))
  tree.forEach((node, at) => {
    if (node?.nodeType !== 'parent') return
    const key = hex(node.parent.hpkePublicKey)
    need(!keys.has(key), 'a key stands twice in the tree')
    keys.add(key)
    for (const leaf of node.parent.unmergedLeaves) checkUnmerged(tree, leaf, at)
  })
  need(await verifyParentHashes(tree, cs.hash), 'a parent that nobody below has made')
  need(sameBytes(context.treeHash, await treeHashRoot(tree, cs.hash)), 'the tree of another group')
}

/** A leaf that is not merged into a parent is below it, and not merged into those between either (RFC 9420, 12.4.3.1). */
function checkUnmerged(tree: RatchetTree, leaf: number, parent: number): void {
  const at = leafToNodeIndex(toLeafIndex(leaf))
  need(tree[at]?.nodeType === 'leaf', 'an unmerged leaf that is blank')
  const above = directPath(at, leafWidth(tree.length))
  need(above.includes(toNodeIndex(parent)), 'an unmerged leaf of another parent')
  for (const between of above.slice(0, above.indexOf(toNodeIndex(parent)))) {
    const node = tree[between]
    need(!node || (node.nodeType === 'parent' && node.parent.unmergedLeaves.includes(leaf)), 'a leaf is merged into a parent, and not into one above')
  }
}

function need(holds: unknown, why: string): asserts holds {
  if (!holds) throw new Error(why)
}
