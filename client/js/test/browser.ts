// Chromium for the tests of the demo page, and what they do in it.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { patience, until } from './server.js'

export const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))

export const axe = () => readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
interface Axe {
  run(where: object, options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>
}

/** A browser, and whatever went wrong in its pages. */
export class Visitors {
  readonly trouble: string[] = []
  /** What the console may say now, as when a server is stopped. */
  expected: RegExp | undefined
  #browser: Browser | undefined

  constructor(private url: () => string) {}

  async start(): Promise<void> {
    this.#browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  }

  async stop(): Promise<void> {
    await this.#browser?.close()
  }

  /** A page in a browser profile of its own: another device of whoever uses it. */
  async page(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.#browser!.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...options })
    const page = await context.newPage()
    this.watch(page)
    return page
  }

  watch(page: Page): void {
    page.setDefaultTimeout(patience)
    page.on('pageerror', (error) => this.trouble.push(error.message))
    page.on('console', (line) => {
      const slower = line.text().includes('status of 409') // than another commit of the encryption
      const often = line.text().includes('status of 429') && line.location().url.endsWith('/prekeys') // a reloaded page has forgotten what it asked for before
      const icon = line.location().url.endsWith('/favicon.ico') // which pages beside the demo do not name
      if (['error', 'warning'].includes(line.type()) && !slower && !often && !icon && !this.expected?.test(line.text())) this.trouble.push(`${line.text()} (${line.location().url})`)
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(this.url()) && !request.url().startsWith(this.url().replace('http', 'ws'))) this.trouble.push(`a request to ${request.url()}`)
    })
  }
}

/** Opens the page, and waits until so many people in it have keys: before, nobody can encrypt for them. */
export async function open(page: Page, url: string, people = 1): Promise<void> {
  let missing = people
  const keys = page.waitForResponse((answer) => answer.request().method() === 'PUT' && answer.url().endsWith('/users/me/prekeys') && --missing === 0)
  await page.goto(url)
  await keys
}

export const pane = (page: Page, name: string): Locator => page.getByLabel(`${name}'s messenger`)
export const bubble = (where: Locator, text: string | RegExp): Locator => where.locator('article.row', { hasText: text }).last()
/** A conversation in the list, by its title. */
export const listed = (where: Locator, title: string | RegExp): Locator =>
  where.locator('.thread-item').filter({ has: where.page().locator('.thread-title', { hasText: title }) })

export async function say(where: Locator, text: string): Promise<void> {
  await where.getByLabel('Message', { exact: true }).fill(text)
  await where.getByLabel('Send', { exact: true }).click()
}

export const choose = (page: Page, what: string): Promise<void> => page.getByRole('menuitem', { name: what, exact: true }).click()

export async function account(where: Locator, what: string): Promise<void> {
  await where.getByRole('button', { name: ': account' }).click()
  await choose(where.page(), what)
}

/** Chooses from the menu of a conversation in the list. */
export async function own(where: Locator, title: string, what: string): Promise<void> {
  await listed(where, title).hover()
  await listed(where, title).getByLabel(/: more/).click()
  await choose(where.page(), what)
}

export async function does(row: Locator, what: string): Promise<void> {
  await row.hover()
  await row.getByLabel('More').click()
  await choose(row.page(), what)
}

/** Edits a message. No person is as quick as a test: the old text is there before the new one is written. */
export async function edit(where: Locator, text: string, better: string): Promise<void> {
  await does(bubble(where, text), 'Edit')
  const input = where.getByLabel('Message', { exact: true })
  await until('the old text', async () => (await input.inputValue()) === text)
  await input.fill(better)
  await where.getByLabel('Save').click()
}

/** Asserts that axe finds nothing in the page, in both themes. Of the second only the colours can be new. */
export async function noViolations(page: Page): Promise<void> {
  await page.evaluate(axe())
  const before = await page.evaluate(() => document.documentElement.dataset.theme)
  for (const theme of ['light', 'dark']) {
    await page.evaluate((theme) => (document.documentElement.dataset.theme = theme), theme)
    expect(await violations(page, theme === 'dark'), theme).toEqual([])
  }
  await page.evaluate((theme) => (document.documentElement.dataset.theme = theme), before)
}

/**
 * What axe, which is in the page, finds there. Its rule of contrast takes longer than all the others, so it looks at
 * one text of each kind: texts of a kind have the same colour and size, and the same backgrounds.
 */
export async function violations(page: Page, onlyColours: boolean): Promise<string[]> {
  return page.evaluate(async (onlyColours) => {
    const behind = new Map<Element | null, string>([[null, '']])
    const behindOf = (element: Element | null): string => {
      const known = behind.get(element)
      if (known !== undefined) return known
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(element!)
      const own = `${backgroundColor} ${backgroundImage} ${opacity};`.replace('rgba(0, 0, 0, 0) none 1;', '')
      behind.set(element, behindOf(element!.parentElement) + own)
      return behind.get(element)!
    }
    const texts = new Map<string, Element>()
    for (const element of document.querySelectorAll('body *')) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent!.trim())
      if (!element.checkVisibility() || (!hasText && !element.matches('input, textarea'))) continue
      const { color, fontSize, fontWeight, textShadow } = getComputedStyle(element)
      const kind = [color, fontSize, fontWeight, textShadow, element.tagName, behindOf(element)].join()
      if (!texts.has(kind)) texts.set(kind, element)
    }
    const { axe } = globalThis as unknown as { axe: Axe }
    const quick = { resultTypes: ['violations'], selectors: false }
    const results = [await axe.run({ include: [...texts.values()] }, { ...quick, runOnly: ['color-contrast', 'link-in-text-block'] })]
    if (!onlyColours) results.push(await axe.run(document, { ...quick, rules: { 'color-contrast': { enabled: false } } }))
    return results.flatMap(({ violations }) => violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ').slice(0, 800)}`))
  }, onlyColours)
}
