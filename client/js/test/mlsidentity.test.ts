import { describe, expect, test } from 'vitest'
import { credentialOf, deviceOf } from '../src/mls/identity.js'

const named = (identity: string | Uint8Array) =>
  deviceOf({ credentialType: 'basic', identity: typeof identity === 'string' ? new TextEncoder().encode(identity) : identity })

describe('a credential names a device', () => {
  test.each([['ann', 'd'], ['0', '9'], ['A.b_c-1', 'phone.2'], ['x'.repeat(64), 'y'.repeat(64)], ['01970c2e-3c00-7000-8000-000000000001', 'd']])('%s/%s', (userId, deviceId) => {
    expect(deviceOf(credentialOf({ userId, deviceId }))).toEqual({ userId, deviceId })
  })
})

describe('a credential names no device', () => {
  const wrongs = [
    '', '/', 'ann', 'ann/', '/d', 'ann/d/e', 'ann//d', 'ann /d', ' ann/d', 'ann/d ', 'ann/d\n', '-ann/d', '.ann/d', '_ann/d', 'ann/-d', 'a nn/d', 'ann/d\u0000',
    'ann\u200b/d', '\u0430nn/d', '\ufeffann/d', 'ann/d\u202e', 'änn/d', 'ann+/d', 'ann/#', `${'x'.repeat(65)}/d`, `ann/${'y'.repeat(65)}`,
  ]
  test.each(wrongs.map((name) => [JSON.stringify(name), name]))('%s', (_, name) => {
    expect(named(name)).toBeUndefined()
  })

  test('with bytes that are no text', () => {
    expect(named(Uint8Array.of(0x61, 0xff, 0x2f, 0x64))).toBeUndefined()
  })

  test('of another kind', () => {
    expect(deviceOf({ credentialType: 'x509', certificates: [] })).toBeUndefined()
  })
})
