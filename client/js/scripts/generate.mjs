// Writes src/generated: the types of contracts/openapi.yaml and asyncapi.yaml. `--check` writes
// nothing, and fails if they are not up to date.
import { readFile, writeFile } from 'node:fs/promises'
import openapiTS, { astToString } from 'openapi-typescript'
import { parse } from 'yaml'

const contracts = new URL('../../../contracts/', import.meta.url)
const generated = new URL('../src/generated/', import.meta.url)
const heading = '// Made by `npm run generate`. Do not edit.\n\n'

// The schemas of AsyncAPI are JSON Schema, as those of OpenAPI 3.1 are: one generator does both.
function asOpenAPI(asyncapi) {
  const schemas = JSON.parse(JSON.stringify(asyncapi.components.schemas))
  return { openapi: '3.1.0', info: asyncapi.info, paths: {}, components: { schemas } }
}

async function typesOf(document) {
  return heading + astToString(await openapiTS(document))
}

const want = {
  'openapi.ts': await typesOf(new URL('openapi.yaml', contracts)),
  'asyncapi.ts': await typesOf(asOpenAPI(parse(await readFile(new URL('asyncapi.yaml', contracts), 'utf8')))),
}

for (const [name, text] of Object.entries(want)) {
  const file = new URL(name, generated)
  if (!process.argv.includes('--check')) {
    await writeFile(file, text)
  } else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
    console.error(`src/generated/${name} is not made of the documents as they are: run npm run generate`)
    process.exitCode = 1
  }
}
