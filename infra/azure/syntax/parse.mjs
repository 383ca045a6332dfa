// Prints the syntax trees of Bicep files as JSON: node parse.mjs FILE... A syntax check, not a compiler: types, API versions and scopes are not looked at.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { Parser, Language } = require('web-tree-sitter');
await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(require.resolve('tree-sitter-bicep/tree-sitter-bicep.wasm')));

const files = process.argv.slice(2).map(file => {
  let text = readFileSync(file, 'utf8');
  // The grammar has no `param name = value`, the one form that parameter files have of their own; it reads as a variable of the same length.
  if (file.endsWith('.bicepparam'))
    text = text.replace(/^param(?= )/gm, 'var  ');
  const tree = parser.parse(text);
  const errors = [];
  const convert = (node, field) => {
    if (node.isError || node.isMissing)
      errors.push({ line: node.startPosition.row + 1, column: node.startPosition.column + 1, what: node.isMissing ? `${node.type} is missing` : 'unexpected text' });
    const children = [];
    for (let i = 0; i < node.childCount; i++) {
      const child = node.child(i);
      if (child.isNamed || child.isError || child.isMissing)
        children.push(convert(child, node.fieldNameForChild(i)));
    }
    return { type: node.type, field, line: node.startPosition.row + 1, start: node.startIndex, end: node.endIndex, children };
  };
  const root = convert(tree.rootNode, null);
  return { file, text, errors, root };
});
process.stdout.write(JSON.stringify(files));
