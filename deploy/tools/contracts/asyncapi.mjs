// Validates AsyncAPI documents with AsyncAPI's own parser, which is what its
// command line asks too; that one brings generators and a web studio along.
//
// It also wants a name in components.schemas for each schema that generators make
// a type of, which they else call AnonymousSchema_1, _2 and so on.
import {readFileSync} from 'node:fs';
import {Parser} from '@asyncapi/parser';

const severities = ['error', 'warning', 'information', 'hint'];
let bad = 0;

function complain(message) {
  console.error(message);
  bad++;
}

// Generators make a type of every object, every enumeration and every branch of a choice that has members.
function madeIntoTypes(schemas) {
  const branches = schemas.flatMap(s => [...(s.oneOf() ?? []), ...(s.anyOf() ?? [])]);
  return [
    ...schemas.filter(s => s.json().type === 'object' || s.json().enum !== undefined),
    ...branches.filter(s => s.json().properties !== undefined),
  ];
}

for (const file of process.argv.slice(2)) {
  const {document, diagnostics} = await new Parser().parse(readFileSync(file, 'utf8'), {source: file});
  for (const d of diagnostics.filter(d => d.severity <= 1)) {
    complain(`${file}:${d.range.start.line + 1}: ${severities[d.severity]}: ${d.message} (${d.code})`);
  }
  if (document === undefined) {
    complain(`${file}: not an AsyncAPI document`);
    continue;
  }
  const unnamed = madeIntoTypes(document.allSchemas().all()).filter(s => s.id()?.startsWith('<anonymous-schema-'));
  for (const schema of new Set(unnamed.map(s => JSON.stringify(s.json())))) {
    complain(`${file}: a schema without a name: ${schema}`);
  }
}
process.exitCode = bad > 0 ? 1 : 0;
