// A server and a browser for pictures of the demo page.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const binary = process.env.PARLEY_BINARY ?? join(import.meta.dirname, '../../../.bin/parley')

/** Starts a server on a free port. DIR in a flag is a directory of its own, which goes with it. */
export function serve(...flags) {
  const dir = mkdtempSync(join(tmpdir(), 'parley-shots-'))
  const child = spawn(binary, ['serve', ...flags, '--listen', '127.0.0.1:0', '--drain-delay', '0s', '--rate-send', '0', '--rate-read', '0'].map((f) => f.replace('DIR', dir)), {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  return new Promise((resolve, reject) => {
    createInterface(child.stderr).on('line', (line) => {
      if (!line.includes('"listening"') || !line.includes('"http"')) return
      const end = () => {
        child.kill('SIGKILL')
        rmSync(dir, { recursive: true, force: true })
      }
      resolve({ url: `http://127.0.0.1:${/:(\d+)$/.exec(JSON.parse(line).addr)[1]}`, end })
    })
    child.on('exit', () => reject(new Error('the server ended')))
  })
}

export const browse = () =>
  chromium.launch({
    executablePath: ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path)),
    args: ['--no-sandbox', '--disable-gpu'],
  })

/** The messenger of somebody. */
export const pane = (page, name) => page.getByLabel(`${name}'s messenger`)
