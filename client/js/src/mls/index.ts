// End-to-end encryption of threads with MLS (RFC 9420). Read in this order: encryption.ts (what an app calls),
// group.ts (one thread's group), commit.ts with envelope.ts (a change of the group, and the control message
// that holds it), join.ts, membership.ts (who is let in and out), texts.ts (messages), again.ts (texts that are
// sent again), identity.ts and keyring.ts (this device's keys), secrets.ts (what is stored).
export type { Ask } from './again.js'
export { Encryption, type EncryptionEvents, type EncryptionOptions, type Sealed, type Standing } from './encryption.js'
export { Group, NotInGroup } from './group.js'
export { inspect, type Seen } from './inspect.js'
export { IndexedDBSecrets, MemorySecrets, type SecretChanges, type SecretStore } from './secrets.js'
export type { Device } from './identity.js'
export type { Revealed, Unreadable } from './texts.js'
