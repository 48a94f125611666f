// A commit as it is sent, of proposals that others have a say in: key packages are of whoever uploads them.
import { createCommit, encodeMlsMessage, type CiphersuiteImpl, type ClientState, type Proposal } from 'ts-mls'
import { encodeEnvelope } from './envelope.js'
import { hex } from './identity.js'
import { NotStored } from './secrets.js'

/** What the server takes as one control message. */
const ENVELOPE_BYTES = 256 * 1024

export interface Made {
  /** The group's state if it is taken. */
  state: ClientState
  envelope: Uint8Array
  /** Additions for a commit after this one. */
  rest: Proposal[]
}

/**
 * Makes a commit of the proposals: of the removals all, and of the additions as many as one message
 * holds. An addition with which there is no commit is left out, whatever it was. Undefined if none is left
 * of all.
 */
export async function makeCommit(state: ClientState, cs: CiphersuiteImpl, proposals: Proposal[]): Promise<Made | undefined> {
  const removals = proposals.filter((p) => p.proposalType !== 'add')
  let [additions, rest]: [Proposal[], Proposal[]] = [proposals.filter((p) => p.proposalType === 'add'), []]
  while (additions.length > 0) {
    const made = await make(state, cs, [...removals, ...additions]).catch((error) => {
      if (error instanceof NotStored) throw error
    })
    if (made && made.envelope.length <= ENVELOPE_BYTES) return { ...made, rest }
    const half = additions.length >> 1
    if (half > 0) [additions, rest] = [additions.slice(0, half), [...additions.slice(half), ...rest]]
    else [additions, rest] = [rest, []]
  }
  const nothing = removals.length === 0 && proposals.length > 0
  if (nothing && state.groupContext.epoch > 0n) return undefined
  return { ...(await make(state, cs, removals)), rest }
}

async function make(state: ClientState, cs: CiphersuiteImpl, proposals: Proposal[]): Promise<Omit<Made, 'rest'>> {
  const { commit, welcome, newState } = await createCommit({ state, cipherSuite: cs }, { extraProposals: proposals, ratchetTreeExtension: true })
  if (!hasKeysOnce(newState)) throw new Error('a key would stand twice in the tree')
  const envelope = encodeEnvelope({
    commit: encodeMlsMessage(commit),
    ...(welcome ? { welcome: encodeMlsMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome }) } : {}),
  })
  return { state: newState, envelope }
}

/** ts-mls compares what is added with the tree, and not with what else is added. */
function hasKeysOnce({ ratchetTree }: ClientState): boolean {
  const keys = ratchetTree.flatMap((node) => {
    if (node?.nodeType === 'leaf') return [hex(node.leaf.hpkePublicKey), `signs ${hex(node.leaf.signaturePublicKey)}`]
    return node ? [hex(node.parent.hpkePublicKey)] : []
  })
  return new Set(keys).size === keys.length
}
