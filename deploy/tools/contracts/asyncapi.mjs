// Validates AsyncAPI documents with AsyncAPI's own parser, which is what its
// command line asks too; that one brings generators and a web studio along.
import {readFileSync} from 'node:fs';
import {Parser} from '@asyncapi/parser';

const severities = ['error', 'warning', 'information', 'hint'];
let bad = 0;
for (const file of process.argv.slice(2)) {
  const {document, diagnostics} = await new Parser().parse(readFileSync(file, 'utf8'), {source: file});
  const worth = diagnostics.filter(d => d.severity <= 1);
  for (const d of worth) {
    console.error(`${file}:${d.range.start.line + 1}: ${severities[d.severity]}: ${d.message} (${d.code})`);
  }
  if (worth.length > 0 || document === undefined) bad++;
}
process.exitCode = bad > 0 ? 1 : 0;
