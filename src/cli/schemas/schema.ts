// What `schema` itself prints under --json.
import * as v from 'valibot';
import { document, list, text } from './parts.js';

export const schema = document('schema', 'Schemas of what commands print under --json.', {
  schemas: list(
    v.strictObject({
      name: text('What `lunctl schema` takes: a command, or what else can be printed.'),
      id: text('The value of `schema` in every object of this kind.'),
      jsonSchema: v.pipe(v.record(v.string(), v.unknown()), v.description('JSON Schema, draft-07.')),
    }),
    'Those that were asked for, or all.',
  ),
});
