// What the page takes of the encryption, in a file of its own: it is loaded after the page is shown.
export { Encryption, IndexedDBSecrets, inspect } from '../src/mls/index.js'
