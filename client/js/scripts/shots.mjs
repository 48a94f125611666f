// Pictures of the demo page in its states: `node scripts/shots.mjs DIR [WORD]` against .bin/parley, in
// two themes and three widths. WORD leaves out states whose names do not have it.
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const [out = '/tmp/shots', word = ''] = process.argv.slice(2)
const binary = process.env.PARLEY_BINARY ?? join(import.meta.dirname, '../../../.bin/parley')
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
const secret = 'the secret with which these pictures are made'
mkdirSync(out, { recursive: true })

function serve(...flags) {
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

export function tokenOf(sub, seconds = 3600) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, scope: 'chat.read chat.write', iat, exp: iat + seconds })}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const dev = await serve('--dev', '--data', 'DIR', '--mqtt-listen', '127.0.0.1:0')
const pasted = await serve('--demo', '--store', 'pebble:DIR/store', '--jwt-secret', secret)
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
const sizes = { wide: [1440, 900], tablet: [820, 1100], phone: [390, 844] }
try {
  const context = await browser.newContext({ reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'] })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  let shot = 0
  const shoot = async (name, size = 'wide') => {
    const [width, height] = sizes[size]
    if (page.viewportSize()?.width !== width) await page.setViewportSize({ width, height })
    if (!name.includes(word)) return
    for (const theme of ['light', 'dark']) {
      await page.evaluate((t) => (document.documentElement.dataset.theme = t), theme)
      await page.waitForTimeout(250)
      await page.screenshot({ path: join(out, `${String(++shot).padStart(3, '0')}-${name}-${size}-${theme}.png`) })
    }
  }
  const pane = (name) => page.getByLabel(`${name}'s messenger`)
  const say = async (where, text) => {
    await where.getByLabel('Message', { exact: true }).fill(text)
    await where.getByLabel('Send', { exact: true }).click()
    await where.locator('article.row', { hasText: text }).last().getByLabel(/Details/).waitFor()
  }
  const item = (name) => page.getByRole('menuitem', { name, exact: true })
  const [alice, bob] = [pane('Alice'), pane('Bob')]

  await page.setViewportSize({ width: 1440, height: 900 })
  await page.goto(dev.url)
  await alice.getByText('Connected').waitFor()
  await bob.getByText('Connected').waitFor()
  await shoot('empty')
  await shoot('empty', 'tablet')
  await shoot('empty', 'phone')
  await page.setViewportSize({ width: 1440, height: 900 })
  await alice.getByRole('button', { name: 'Write to Bob' }).click()
  await say(alice, 'Hi Bob, are you in for the ridge walk on Saturday?')
  await bob.getByRole('button', { name: 'Accept' }).waitFor()
  await shoot('request')
  await bob.getByRole('button', { name: 'Accept' }).click()
  await say(bob, 'Sure! Which train?')
  await say(alice, 'The one at 7:40, from platform 3. Bring something warm, it is windy up there.')
  await say(bob, '🎉')
  await say(bob, 'I take the thermos')
  await alice.locator('article.row', { hasText: 'platform 3' }).hover()
  await alice.locator('article.row', { hasText: 'platform 3' }).getByLabel('More').click()
  await shoot('message-menu')
  await item('Pin').click()
  const theirs = bob.locator('article.row', { hasText: 'platform 3' })
  await theirs.hover()
  await theirs.getByLabel('React', { exact: true }).click()
  await shoot('reactions')
  await page.getByRole('group', { name: 'Emojis' }).getByLabel('👍').click()
  for (const [title, text] of [['Ridge walk', 'Saturday?'], ['Book club', 'Chapter 4 until Tuesday'], ['Neighbours of the house at the very long street', 'The lift is broken again, please take the stairs until Monday']]) {
    await alice.getByLabel('New conversation').click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('Bob').click()
    await dialog.getByText('Carol').click()
    await page.getByLabel('Name of the group').fill(title)
    if (title === 'Ridge walk') await shoot('new-conversation')
    await page.getByRole('button', { name: 'Create the group' }).click()
    await alice.getByRole('heading', { name: title }).waitFor()
    await say(alice, text)
  }
  const row = (where, title) => where.locator('.thread-item', { has: page.locator('.thread-title', { hasText: title }) })
  const own = async (where, text, what) => {
    await row(where, text).hover()
    await row(where, text).getByLabel(/: more/).click()
    await item(what).click()
  }
  await own(alice, 'Bob', 'Pin to the top')
  await own(alice, 'Book club', 'Mute until turned on')
  await own(alice, 'Neighbours', 'Mark as unread')
  await row(alice, 'Book club').hover()
  await row(alice, 'Book club').getByLabel(/: more/).click()
  await shoot('thread-menu')
  await page.keyboard.press('Escape')
  await row(alice, 'Bob').click()
  await row(bob, 'Book club').click().catch(() => {})
  await shoot('requests')
  await bob.getByRole('radio', { name: /Archived/ }).click()
  await shoot('archived-empty')
  await bob.getByRole('radio', { name: /Inbox/ }).click()
  await row(bob, 'Alice').click()
  await bob.getByLabel('Disappearing messages').click()
  await item('5 minutes').click()
  await say(bob, 'This one goes by itself')
  await bob.getByLabel(/^Disappearing messages/).click()
  await item('Messages stay').click()
  await shoot('chats')
  await alice.getByLabel('Search conversations and messages').fill('train')
  await alice.locator('mark').first().waitFor()
  await shoot('search')
  await alice.getByLabel('Search conversations and messages').fill('nothing like it')
  await shoot('search-nothing')
  await alice.getByLabel('Search conversations and messages').fill('')

  await alice.getByRole('button', { name: ': account' }).click()
  await shoot('account')
  await item('Devices').click()
  await page.getByText('This device').waitFor()
  await shoot('devices')
  await page.keyboard.press('Escape')
  await bob.locator('article.row', { hasText: 'platform 3' }).hover()
  await bob.locator('article.row', { hasText: 'platform 3' }).getByLabel('More').click()
  await item('Report').click()
  await page.getByLabel('Spam').check()
  await shoot('report')
  await page.keyboard.press('Escape')
  await alice.locator('article.row', { hasText: 'platform 3' }).getByLabel(/Details/).click()
  await page.getByText('Read by').waitFor()
  await shoot('message-details')
  await page.keyboard.press('Escape')
  await row(alice, 'Ridge walk').click()
  await alice.getByLabel('Conversation', { exact: true }).click()
  await shoot('chat-menu')
  await item('Members and title').click()
  await page.getByRole('dialog').getByLabel(/Carol: change/).click()
  await shoot('group')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await row(alice, 'Bob').click()
  await alice.getByLabel('Conversation', { exact: true }).click()
  await item('Block Bob').click()
  await alice.getByText('You have blocked Bob').waitFor()
  await shoot('blocked')
  await alice.getByRole('button', { name: ': account' }).click()
  await item('Blocked people').click()
  await page.getByRole('button', { name: 'Unblock Bob' }).waitFor()
  await shoot('blocked-people')
  await page.getByRole('button', { name: 'Unblock Bob' }).click()
  await page.getByText('You block nobody').waitFor()
  await page.keyboard.press('Escape')
  await alice.getByLabel('Inspector', { exact: true }).click()
  await alice.locator('.entry').first().getByRole('button').click()
  await shoot('inspector')
  await alice.getByLabel('Connection').click()
  await shoot('connection-menu')
  await item('Go offline').click()
  await alice.getByLabel('Close the inspector').click()
  await alice.getByLabel('Message', { exact: true }).fill('Written offline')
  await alice.getByLabel('Send', { exact: true }).click()
  await alice.getByText('Written offline').first().waitFor()
  await shoot('offline')
  await alice.getByLabel('Connection').click()
  await item('Go online').click()
  const tab = await context.newPage()
  await tab.goto(`${dev.url}/?as=alice`)
  await alice.getByText('open in another tab').waitFor()
  await shoot('taken-over')
  await tab.close()
  await alice.getByRole('button', { name: 'Use here' }).click()
  await alice.getByText('Connected').waitFor()

  for (const size of ['tablet', 'phone']) {
    const [width, height] = sizes[size]
    await page.setViewportSize({ width, height })
    await page.goto(`${dev.url}/?as=alice`)
    await alice.getByText('Connected').waitFor()
    await row(alice, 'Bob').waitFor()
    await shoot('list', size)
    await row(alice, 'Ridge').click({ button: 'right' })
    await shoot('thread-menu', size)
    await page.keyboard.press('Escape')
    await row(alice, 'Bob').click()
    await alice.locator('article.row', { hasText: 'thermos' }).waitFor()
    await shoot('chat', size)
    await alice.getByLabel('Conversation', { exact: true }).click()
    await shoot('chat-menu', size)
    await page.keyboard.press('Escape')
    await alice.locator('article.row', { hasText: 'thermos' }).hover()
    await alice.locator('article.row', { hasText: 'thermos' }).getByLabel('More').click()
    await shoot('message-menu', size)
    await page.keyboard.press('Escape')
    if (size === 'phone') await alice.getByLabel('Back to conversations').click()
    await alice.getByRole('button', { name: ': account' }).click()
    await item('Devices').click()
    await page.getByText('This device').waitFor()
    await shoot('devices', size)
    await page.keyboard.press('Escape')
    await alice.getByLabel('Inspector', { exact: true }).click()
    await shoot('inspector', size)
    await page.goto(`${dev.url}/?as=carol`)
    await pane('Carol').getByText('Connected').waitFor()
    await pane('Carol').getByRole('radio', { name: /Requests/ }).click()
    await row(pane('Carol'), 'Ridge').click()
    await pane('Carol').getByRole('button', { name: 'Accept' }).waitFor()
    await shoot('request', size)
  }

  await page.setViewportSize({ width: 1440, height: 900 })
  await page.goto(pasted.url)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  for (const size of Object.keys(sizes)) await shoot('sign-in', size)
  await page.getByLabel('User id').fill('dana')
  await page.getByLabel('Token (JWT)').fill(tokenOf('erin'))
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.locator('.refusal', { hasText: 'erin' }).waitFor()
  await shoot('sign-in-refused')
  await page.getByLabel('Token (JWT)').fill(tokenOf('dana', 90))
  await page.getByRole('button', { name: 'Sign in' }).click()
  await pane('Dana').getByText('Connected').waitFor()
  await shoot('signed-in')
  await page.getByLabel('Sign in somebody else').click()
  await shoot('sign-in-another')
} finally {
  await browser.close()
  dev.end()
  pasted.end()
}
