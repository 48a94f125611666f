// Joining a group whose tree has parents into which not all leaves below are merged.
import {
  createApplicationMessage, createCommit, createGroup, defaultCapabilities, defaultLifetime, emptyPskIndex, generateKeyPackage, getCiphersuiteFromName,
  getCiphersuiteImpl, processPrivateMessage, type CiphersuiteImpl, type ClientConfig, type ClientState, type KeyPackage, type PrivateKeyPackage, type Proposal,
} from 'ts-mls'
import { defaultClientConfig } from 'ts-mls/clientConfig.js'
import type { RatchetTree } from 'ts-mls/ratchetTree.js'
import { beforeAll, describe, expect, test } from 'vitest'
import { credentialOf } from '../src/mls/identity.js'
import { checkTree, joinGroup } from '../src/mls/join.js'

const config: ClientConfig = defaultClientConfig
let cs: CiphersuiteImpl
beforeAll(async () => {
  cs = await getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'))
})

interface Keys {
  publicPackage: KeyPackage
  privatePackage: PrivateKeyPackage
}
const keysOf = (userId: string): Promise<Keys> =>
  generateKeyPackage(credentialOf({ userId, deviceId: 'd' }), defaultCapabilities(), defaultLifetime, [], cs)

/** A group, by the places in its tree. */
class Members {
  states: (ClientState | undefined)[] = []

  static async of(n: number): Promise<Members> {
    const members = new Members()
    const first = await keysOf('m0')
    members.states[0] = await createGroup(new TextEncoder().encode('thread'), first.publicPackage, first.privatePackage, [], cs, config)
    await members.commit(0, [], await Promise.all(Array.from({ length: n - 1 }, (_, i) => keysOf(`m${i + 1}`))))
    return members
  }

  at(place: number): ClientState {
    return this.states[place]!
  }

  /** Has a member let others out and in. All follow, and who comes takes the place of its leaf. */
  async commit(by: number, out: number[], come: Keys[] = []): Promise<void> {
    const extraProposals: Proposal[] = [
      ...out.map((removed): Proposal => ({ proposalType: 'remove', remove: { removed } })),
      ...come.map(({ publicPackage }): Proposal => ({ proposalType: 'add', add: { keyPackage: publicPackage } })),
    ]
    const { commit, newState, welcome } = await createCommit({ state: this.at(by), cipherSuite: cs }, { extraProposals, ratchetTreeExtension: true })
    if (commit.wireformat !== 'mls_private_message') throw new Error(commit.wireformat)
    for (const place of out) this.states[place] = undefined
    for (const [place, state] of this.states.entries()) {
      if (state) this.states[place] = place === by ? newState : (await processPrivateMessage(state, commit.privateMessage, emptyPskIndex, cs)).newState
    }
    for (const { publicPackage, privatePackage } of come) {
      const state = await joinGroup(welcome!, publicPackage, privatePackage, cs, config)
      this.states[state.privatePath.leafIndex] = state
    }
  }

  /** Each says something, and all others read it. */
  async talk(): Promise<void> {
    for (const by of this.states.keys()) {
      if (!this.states[by]) continue
      const { newState, privateMessage } = await createApplicationMessage(this.at(by), new TextEncoder().encode(`from ${by}`), cs)
      for (const [place, state] of this.states.entries()) {
        if (!state) continue
        if (place === by) {
          this.states[place] = newState
          continue
        }
        const read = await processPrivateMessage(state, privateMessage, emptyPskIndex, cs)
        expect(read.kind === 'applicationMessage' && new TextDecoder().decode(read.message), `${place} reads ${by}`).toBe(`from ${by}`)
        this.states[place] = read.newState
      }
    }
  }
}

/** Eight, of whom 6 lets out 1 and 5; then 0 lets two in. Neither is merged into the root, and one not into the parent over 4 to 7. */
async function unmerged(): Promise<Members> {
  const members = await Members.of(8)
  await members.commit(6, [1, 5])
  await members.commit(0, [], await Promise.all(['new1', 'new5'].map(keysOf)))
  const [parent, root] = [members.at(0).ratchetTree[11], members.at(0).ratchetTree[7]]
  expect(parent?.nodeType === 'parent' && parent.parent.unmergedLeaves).toEqual([5])
  expect(root?.nodeType === 'parent' && root.parent.unmergedLeaves).toEqual([1, 5])
  return members
}

test('two who come into places whose parents were made without them', async () => {
  const members = await unmerged()
  await members.talk()
  for (const by of [5, 1, 6, 3]) await members.commit(by, [])
  await members.talk()
})

test('any order of commits', async () => {
  const seed = Number(process.env.PARLEY_SEED ?? Date.now() % 1e9)
  console.log(`PARLEY_SEED=${seed}`)
  let last = seed
  const below = (n: number) => (last = (last * 48271 + 11) % 2147483647) % n
  const members = await Members.of(6)
  for (let step = 0; step < 30; step++) {
    const there = [...members.states.keys()].filter((place) => members.states[place])
    const by = there[below(there.length)]!
    const out = there.filter((place) => place !== by && below(8) === 0)
    const come = there.length < 14 ? below(3) : 0
    await members.commit(by, out, await Promise.all(Array.from({ length: come }, (_, i) => keysOf(`${step}.${i}`))))
  }
  await members.talk()
})

describe('a tree is refused', () => {
  const parentAt = (tree: RatchetTree, at: number) => {
    const node = tree[at]
    if (node?.nodeType !== 'parent') throw new Error(`no parent at ${at}`)
    return node.parent
  }
  const unmergedAt = (at: number, unmergedLeaves: number[]) => (tree: RatchetTree) => {
    tree[at] = { nodeType: 'parent', parent: { ...parentAt(tree, at), unmergedLeaves } }
  }
  const wrongs: [string, (tree: RatchetTree) => void, RegExp][] = [
    ['that lacks a leaf', (tree) => (tree[4] = undefined), /nobody below/],
    ['with a leaf in the place of a parent', (tree) => (tree[11] = tree[10]), /other kind/],
    ['with a parent in the place of a leaf', (tree) => (tree[10] = tree[11]), /other kind/],
    ['with a leaf twice', (tree) => (tree[10] = tree[8]), /unique/],
    ['with a parent twice', (tree) => (tree[9] = tree[11]), /twice/],
    ['whose root says that a leaf is merged', unmergedAt(7, [1]), /another group/],
    ['whose parent says that a leaf is merged', unmergedAt(11, []), /not into one above/],
    ['with a leaf that is merged into a parent, and not into one above', unmergedAt(7, [5, 6]), /not into one above/],
    ['with an unmerged leaf of another parent', unmergedAt(11, [1, 5]), /of another parent/],
    ['with an unmerged leaf beyond its end', unmergedAt(11, [5, 99]), /blank/],
    ['whose parent has another key', (tree) => {
      tree[11] = { nodeType: 'parent', parent: { ...parentAt(tree, 11), hpkePublicKey: new Uint8Array(32).fill(7) } }
    }, /nobody below/],
  ]
  test.each(wrongs)('%s', async (_, spoil, why) => {
    const { ratchetTree, groupContext } = (await unmerged()).at(0)
    await checkTree(ratchetTree, groupContext, cs, config)
    const spoilt = ratchetTree.slice()
    spoil(spoilt)
    await expect(checkTree(spoilt, groupContext, cs, config)).rejects.toThrow(why)
  })

  test('that is of another epoch', async () => {
    const members = await unmerged()
    const { groupContext } = members.at(0)
    await members.commit(3, [])
    await expect(checkTree(members.at(0).ratchetTree, groupContext, cs, config)).rejects.toThrow('another group')
  })

  test('a welcome for another', async () => {
    const members = await Members.of(2)
    const [wanted, other] = [await keysOf('wanted'), await keysOf('other')]
    const { welcome } = await createCommit({ state: members.at(0), cipherSuite: cs }, {
      extraProposals: [{ proposalType: 'add', add: { keyPackage: wanted.publicPackage } }], ratchetTreeExtension: true,
    })
    await expect(joinGroup(welcome!, other.publicPackage, other.privatePackage, cs, config)).rejects.toThrow('No matching secret')
    await expect(joinGroup(welcome!, wanted.publicPackage, other.privatePackage, cs, config)).rejects.toThrow()
    await joinGroup(welcome!, wanted.publicPackage, wanted.privatePackage, cs, config)
  })
})
