// Makes the pages of /docs of contracts/*.yaml and docs/contract.md: HTML and one style sheet, no
// script, so that the strictest Content-Security-Policy holds and a browser shows them at once. What
// comes out is committed and embedded in the server: rest/demo serves it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Marked } from 'marked'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '../../..')
const out = process.env.PARLEY_DOCS_OUT ?? join(root, 'rest/demo/docs')
const read = (name) => readFileSync(join(root, name), 'utf8')
const openapi = parse(read('contracts/openapi.yaml'))
const asyncapi = parse(read('contracts/asyncapi.yaml'))

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c])
const slug = (text) => String(text).toLowerCase().replace(/[^\p{L}\p{N} -]/gu, '').trim().replaceAll(' ', '-')
const source = 'https://github.com/parleyhq/parley/blob/main/'

/** Where a link of docs/contract.md leads from these pages. */
function target(href) {
  if (href.includes('contracts/openapi.yaml')) return '/docs'
  if (href.includes('contracts/asyncapi.yaml')) return '/docs/realtime'
  if (/^(#|https?:)/.test(href)) return href
  return source + (href.startsWith('../') ? href.slice(3) : 'docs/' + href)
}

const marked = new Marked({
  renderer: {
    heading({ tokens, depth, text }) {
      return `<h${depth} id="${slug(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`
    },
    link({ href, tokens }) {
      return `<a href="${escape(target(href))}">${this.parser.parseInline(tokens)}</a>`
    },
    table(token) {
      const cells = (row, tag) => row.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join('')
      const rows = token.rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')
      return `<div class="wide" tabindex="0"><table><thead><tr>${cells(token.header, 'th')}</tr></thead><tbody>${rows}</tbody></table></div>\n`
    },
    code({ text }) {
      return `<pre tabindex="0"><code>${escape(text)}</code></pre>\n`
    },
    html({ text }) {
      return escape(text) // "<items>" means itself
    },
  },
})
const prose = (text) => (text ? marked.parse(String(text)) : '')
const line = (text) => (text ? marked.parseInline(String(text)) : '')
const json = (value) => `<pre tabindex="0"><code>${escape(JSON.stringify(value, null, 2))}</code></pre>`

function page(here, title, nav, body) {
  const tabs = [['/docs', 'HTTP'], ['/docs/realtime', 'Realtime'], ['/docs/guide', 'Guide']]
    .map(([path, name]) => `<a href="${path}"${path === here ? ' aria-current="page"' : ''}>${name}</a>`).join('\n')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header><a class="brand" href="/">Parley</a><nav aria-label="Pages">${tabs}</nav></header>
<div class="columns">
<nav class="contents" aria-label="On this page">
${nav}
</nav>
<main id="content">
${body}
</main>
</div>
</body>
</html>
`
}

/** Follows a reference within its document; a name for a schema of its own. */
function resolve(doc, node) {
  let name
  while (node?.$ref) {
    const path = node.$ref.replace('#/', '').split('/')
    name = path.at(-1)
    node = path.reduce((at, step) => at?.[step.replaceAll('~1', '/').replaceAll('~0', '~')], doc)
  }
  return { name, node: node ?? {} }
}

const isSchema = (ref) => ref?.startsWith('#/components/schemas/')

/** What a value is, in a few words. */
function kind(doc, schema) {
  if (isSchema(schema?.$ref)) {
    const name = schema.$ref.split('/').at(-1)
    return `<a href="#schema-${slug(name)}">${escape(name)}</a>`
  }
  const { node } = resolve(doc, schema)
  const many = node.oneOf ?? node.anyOf
  if (many) return many.map((one) => kind(doc, one)).join(' or ')
  if (node.allOf) return node.allOf.map((one) => kind(doc, one)).join(' and ')
  if (node.const !== undefined) return `<code>${escape(JSON.stringify(node.const))}</code>`
  if (node.enum) return node.enum.map((value) => `<code>${escape(JSON.stringify(value))}</code>`).join(' ')
  const types = [node.type ?? (node.properties ? 'object' : 'any')].flat()
  return types.map((type) => (type === 'array' ? `array of ${kind(doc, node.items ?? {})}` : escape(type))).join(' or ')
}

const bounds = { minimum: '≥', maximum: '≤', exclusiveMinimum: '>', minLength: 'length ≥', maxLength: 'length ≤', minItems: 'items ≥', maxItems: 'items ≤' }

function limits(doc, schema) {
  const { node } = resolve(doc, isSchema(schema?.$ref) ? {} : schema)
  const said = Object.entries(bounds).filter(([key]) => node[key] !== undefined).map(([key, sign]) => `${sign} ${node[key].toLocaleString('en')}`)
  if (node.default !== undefined) said.push(`by default ${JSON.stringify(node.default)}`)
  if (node.format) said.push(node.format)
  return said.length > 0 ? ` <small>${escape(said.join(', '))}</small>` : ''
}

/** The members of an object, those of its parts included. */
function members(doc, schema) {
  const { node } = resolve(doc, schema)
  const all = new Map()
  for (const part of node.allOf ?? []) for (const [name, member] of members(doc, part)) all.set(name, member)
  for (const [name, member] of Object.entries(node.properties ?? {})) {
    if (member === true || typeof member !== 'object') continue
    all.set(name, { schema: member, required: node.required?.includes(name) })
  }
  for (const name of node.required ?? []) if (all.has(name)) all.get(name).required = true
  return all
}

function fields(doc, schema) {
  const rows = [...members(doc, schema)].map(([name, member]) => {
    const { node } = resolve(doc, member.schema)
    const inner = isSchema(member.schema.$ref) ? '' : nested(doc, node)
    const description = isSchema(member.schema.$ref) ? member.schema.description : node.description
    return `<tr><th scope="row"><code>${escape(name)}</code>${member.required ? '' : ' <small>optional</small>'}</th><td>${kind(doc, member.schema)}${limits(doc, member.schema)}</td><td>${line(description)}${inner}</td></tr>`
  })
  return rows.length > 0 ? `<div class="wide" tabindex="0"><table class="fields"><tbody>${rows.join('\n')}</tbody></table></div>` : ''
}

/** The members of an object that has no name of its own. */
function nested(doc, node) {
  const object = node.items ?? node
  return !isSchema(object.$ref) && members(doc, object).size > 0 ? `<details><summary>members</summary>${fields(doc, object)}</details>` : ''
}

function examples(doc, content) {
  const all = Object.entries(content.examples ?? {}).map(([name, example]) => [name, resolve(doc, example).node.value])
  if (content.example !== undefined) all.push(['', content.example])
  return all.map(([name, value]) => `<details><summary>example${name ? ` ${escape(name)}` : ''}</summary>${json(value)}</details>`).join('\n')
}

function schemas(doc) {
  return Object.entries(doc.components.schemas).map(([name, schema]) => `<section class="schema" id="schema-${slug(name)}"><h3><code>${escape(name)}</code></h3>
${prose(schema.description)}<p class="kind">${kind(doc, { ...schema })}${limits(doc, schema)}${schema.pattern ? ` <code>${escape(schema.pattern)}</code>` : ''}</p>${fields(doc, schema)}</section>`).join('\n')
}

function body(doc, content = {}) {
  return Object.entries(content).map(([type, media]) => {
    const inner = isSchema(media.schema?.$ref) ? '' : fields(doc, media.schema ?? {})
    return `<p>${kind(doc, media.schema ?? {})} <small>${escape(type)}</small></p>${inner}${examples(doc, media)}`
  }).join('\n')
}

function operation(path, method, op, shared) {
  const parameters = [...shared, ...(op.parameters ?? [])].map((p) => resolve(openapi, p).node)
  const scopes = (op.security ?? openapi.security).flatMap((s) => Object.values(s).flat())
  const anybody = op.security?.length === 0
  const rows = parameters.map((p) => `<tr><th scope="row"><code>${escape(p.name)}</code>${p.required ? '' : ' <small>optional</small>'}</th><td>${p.in}<br>${kind(openapi, p.schema)}${limits(openapi, p.schema)}</td><td>${line(p.description)}</td></tr>`)
  const request = op.requestBody ? resolve(openapi, op.requestBody).node : undefined
  const answers = Object.entries(op.responses).map(([status, response]) => {
    const { node } = resolve(openapi, response)
    const content = body(openapi, node.content)
    return `<details class="answer s${status[0]}"${status[0] === '2' ? ' open' : ''}><summary><b>${status}</b> ${line(node.description)}</summary>${content}</details>`
  })
  return `<section class="operation" id="${slug(op.operationId)}">
<h3><span class="method ${method}">${method.toUpperCase()}</span> <code>${escape(path)}</code></h3>
<p class="summary">${line(op.summary)}${scopes.length > 0 ? ` <span class="scope">${scopes.map(escape).join(', ')}</span>` : anybody ? ' <span class="scope">no token</span>' : ''}</p>
${prose(op.description)}
${rows.length > 0 ? `<h4>Parameters</h4><div class="wide" tabindex="0"><table class="fields"><tbody>${rows.join('\n')}</tbody></table></div>` : ''}
${request ? `<h4>Body</h4>${prose(request.description)}${body(openapi, request.content)}` : ''}
<h4>Answers</h4>
${answers.join('\n')}
</section>`
}

function http() {
  const methods = ['get', 'post', 'put', 'patch', 'delete']
  const all = Object.entries(openapi.paths).flatMap(([path, item]) =>
    methods.filter((method) => item[method]).map((method) => ({ path, method, op: item[method], shared: item.parameters ?? [] })))
  const groups = openapi.tags.map((tag) => ({ tag, operations: all.filter(({ op }) => op.tags?.[0] === tag.name) })).filter(({ operations }) => operations.length > 0)
  const placed = groups.reduce((n, { operations }) => n + operations.length, 0)
  if (placed !== all.length) throw new Error(`${all.length - placed} operations have no tag that is listed`)
  const nav = groups.map(({ tag, operations }) => `<p><a href="#tag-${slug(tag.name)}">${escape(tag.name)}</a></p><ul>${operations.map(({ op }) =>
    `<li><a href="#${slug(op.operationId)}">${line(op.summary)}</a></li>`).join('\n')}</ul>`).join('\n') + '<p><a href="#schemas">schemas</a></p>'
  const content = groups.map(({ tag, operations }) => `<h2 id="tag-${slug(tag.name)}">${escape(tag.name)}</h2><p>${line(tag.description)}.</p>
${operations.map(({ path, method, op, shared }) => operation(path, method, op, shared)).join('\n')}`).join('\n')
  const token = openapi.components.securitySchemes.bearerAuth
  return page('/docs', 'Parley over HTTP', nav, `<h1>${escape(openapi.info.title)} over HTTP</h1>${prose(openapi.info.description)}
<p>The document: <a href="/docs/openapi.yaml">openapi.yaml</a>.</p><h2 id="tokens">Tokens</h2>${prose(token.description)}
${content}<h2 id="schemas">Schemas</h2>${schemas(openapi)}`)
}

function message(name, ref) {
  const { node } = resolve(asyncapi, ref)
  const samples = (node.examples ?? []).map((example) => `<details><summary>example ${line(example.name ?? example.summary ?? '')}</summary>${json(example.payload)}</details>`)
  const named = isSchema(node.payload?.$ref)
  return `<section class="schema" id="message-${slug(name)}"><h3><code>${escape(name)}</code></h3><p class="summary">${line(node.summary ?? node.title)}</p>
${prose(node.description)}${named ? `<p>${kind(asyncapi, node.payload)}</p>` : fields(asyncapi, node.payload ?? {})}${samples.join('\n')}</section>`
}

function realtime() {
  const servers = Object.entries(asyncapi.servers).map(([name, server]) => `<section class="operation" id="server-${slug(name)}"><h3><code>${escape(server.protocol)}://${escape(server.host)}${escape(server.pathname ?? '')}</code></h3>${prose(server.description)}</section>`)
  const operations = Object.values(asyncapi.operations)
  const channels = Object.entries(asyncapi.channels).map(([name, channel]) => {
    const own = operations.filter((op) => op.channel.$ref === `#/channels/${name}`)
    const list = own.map((op) => {
      // The document is written from the client's place: it receives what the server sends.
      const frames = (op.messages ?? []).map((ref) => ref.$ref.split('/').at(-1))
      const links = frames.map((frame) => `<a href="#message-${slug(resolve(asyncapi, channel.messages[frame]).name ?? frame)}"><code>${escape(frame)}</code></a>`)
      return `<h4><span class="method ${op.action}">${op.action}</span> ${line(op.summary ?? op.title)}</h4>${prose(op.description)}<p>${links.join(' ')}</p>`
    })
    const parameters = Object.entries(channel.parameters ?? {}).map(([key, ref]) => `<tr><th scope="row"><code>${escape(key)}</code></th><td>${line(resolve(asyncapi, ref).node.description)}</td></tr>`)
    return `<section class="operation" id="channel-${slug(name)}"><h3><code>${escape(channel.address ?? name)}</code></h3><p class="summary">${line(channel.title ?? channel.summary)}</p>${prose(channel.description)}
${parameters.length > 0 ? `<div class="wide" tabindex="0"><table class="fields"><tbody>${parameters.join('')}</tbody></table></div>` : ''}${list.join('\n')}</section>`
  })
  const list = (prefix, names, show = escape) => `<ul>${names.map((name) => `<li><a href="#${prefix}-${slug(name)}"><code>${show(name)}</code></a></li>`).join('\n')}</ul>`
  const frames = Object.entries(asyncapi.components.messages)
  const nav = `<p><a href="#servers">servers</a></p><p><a href="#channels">channels</a></p>${list('channel', Object.keys(asyncapi.channels), (name) => escape(asyncapi.channels[name].address ?? name))}
<p><a href="#frames">frames</a></p>${list('message', frames.map(([name]) => name))}<p><a href="#schemas">schemas</a></p>`
  return page('/docs/realtime', 'Parley in realtime', nav, `<h1>${escape(asyncapi.info.title)}</h1>${prose(asyncapi.info.description)}
<p>The document: <a href="/docs/asyncapi.yaml">asyncapi.yaml</a>.</p><h2 id="servers">Servers</h2>${servers.join('\n')}<h2 id="channels">Channels</h2>${channels.join('\n')}
<h2 id="frames">Frames</h2>${frames.map(([name]) => message(name, { $ref: `#/components/messages/${name}` })).join('\n')}<h2 id="schemas">Schemas</h2>${schemas(asyncapi)}`)
}

function guide() {
  const text = read('docs/contract.md')
  const headings = [...text.matchAll(/^## (.+)$/gm)].map((m) => m[1])
  return page('/docs/guide', 'The contract of Parley', `<ul>${headings.map((h) => `<li><a href="#${slug(h)}">${escape(h)}</a></li>`).join('\n')}</ul>`, prose(text))
}

mkdirSync(out, { recursive: true })
for (const [name, content] of [['index.html', http()], ['realtime.html', realtime()], ['guide.html', guide()], ['style.css', read('client/js/scripts/docs.css')]]) {
  writeFileSync(join(out, name), content)
}
