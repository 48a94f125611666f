// Makes docs/demo.png, the README's picture: `node scripts/picture.mjs` against .bin/parley.
import { join } from 'node:path'
import { browse, pane, serve } from './stage.mjs'

const dev = await serve('--dev', '--data', 'DIR', '--mqtt-listen', '127.0.0.1:0')
const browser = await browse()
try {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 860 }, locale: 'en-GB', reducedMotion: 'reduce' })).newPage()
  page.setDefaultTimeout(20_000)
  const [alice, bob] = [pane(page, 'Alice'), pane(page, 'Bob')]
  const say = async (where, text) => {
    await where.getByLabel('Message', { exact: true }).fill(text)
    await where.getByLabel('Send', { exact: true }).click()
    await where.locator('article.row', { hasText: text }).last().getByLabel(/Details/).waitFor()
    await page.waitForTimeout(600) // until it is read
  }
  const does = async (where, text, what) => {
    const row = where.locator('article.row', { hasText: text }).last()
    await row.hover()
    await row.getByLabel('More').click()
    await page.getByRole('menuitem', { name: what, exact: true }).click()
  }
  const group = async (title, text) => {
    await alice.getByLabel('New conversation').click()
    await page.getByRole('dialog').getByText('Bob', { exact: true }).click()
    await page.getByRole('dialog').getByText('Carol', { exact: true }).click()
    await page.getByLabel('Name of the group').fill(title)
    await page.getByRole('button', { name: 'Create the group' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await alice.getByRole('heading', { name: title }).waitFor()
    await say(alice, text)
  }
  const row = (where, title) => where.locator('.thread-item', { has: page.locator('.thread-title', { hasText: title }) })
  const own = async (where, title, what) => {
    await row(where, title).hover()
    await row(where, title).getByLabel(/: more/).click()
    await page.getByRole('menuitem', { name: what, exact: true }).click()
  }

  let missing = 2
  const keys = page.waitForResponse((answer) => answer.request().method() === 'PUT' && answer.url().endsWith('/users/me/prekeys') && --missing === 0)
  await page.goto(dev.url)
  await keys // before, nobody can encrypt for the other
  await bob.getByRole('radio', { name: 'MQTT' }).click()
  await bob.getByText('Connected').waitFor()
  await alice.getByRole('button', { name: 'Write to Bob' }).click()
  await say(alice, 'Morning! Are we still on for the ridge on Saturday?')
  await bob.getByRole('button', { name: 'Accept' }).click()
  await say(bob, 'Yes, if the weather holds')
  await say(bob, 'The forecast says sun until four ☀️')
  await group('Allotment', 'The water is off until Thursday')
  await group('Book club', 'Chapter 4 until Tuesday')
  await group('Ridge walk', 'Carol, will you join us?')
  await own(alice, 'Allotment', 'Mute until turned on')
  await row(alice, 'Bob').locator('.thread').click()
  await row(bob, 'Alice').locator('.thread').click()
  await say(alice, 'Then let us take the early train')
  await does(bob, 'early train', 'React')
  await page.getByRole('group', { name: 'Emojis' }).getByLabel('👍').click()
  await does(bob, 'early train', 'Reply')
  await say(bob, '07:12 from platform 4?')
  await does(alice, 'Are we still on', 'Pin')
  await own(alice, 'Bob', 'Pin to the top')
  await say(alice, 'Perfect. I will bring coffee')
  await bob.hover()
  await page.waitForTimeout(9000) // until nothing is new, and no toast is there
  await bob.getByLabel('Message', { exact: true }).pressSequentially('And I the ma')
  await alice.getByText('typing…').first().waitFor()
  await page.screenshot({ path: join(import.meta.dirname, '../../../docs/demo.png') })
} finally {
  await browser.close()
  dev.end()
}
