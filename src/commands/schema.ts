// Prints the JSON Schemas of what --json prints.
import { BaseCommand } from '../cli/base-command.js';
import { table } from '../cli/render/table.js';
import type { Result } from '../cli/schemas/parts.js';
import type { schema } from '../cli/schemas/schema.js';

export default class Schema extends BaseCommand {
  static override summary = 'Print the JSON Schema of what a command prints under --json';
  static override description =
    `Without a command, lists those that there are; error is what every command prints when it fails, and serve event each line after the first of serve. The value of "schema" in an output names its schema too.

Within a version, the number at the end of that value, fields are only added.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> session show',
    '<%= config.bin %> <%= command.id %> lunctl.error/1',
  ];
  static override strict = false;
  static override usage = 'schema [COMMAND...]';

  async run(): Promise<Result<typeof schema>> {
    const { argv } = await this.parse(Schema);
    const { findSchema, readSchemas } = await import('../cli/published-schemas.js');
    const all = readSchemas(this.config.root);
    if (argv.length === 0) {
      const rows = all.map(({ name, id }) => [name, id]);
      this.render(
        this.toTerminal ? table([{ head: 'NAME' }, { head: 'SCHEMA' }], rows) : all.map(({ name }) => name).join('\n'),
      );
      return { schemas: all };
    }
    const found = findSchema(all, this.#name(argv.map(String)));
    this.render(JSON.stringify(found.jsonSchema, null, 2));
    return { schemas: [found] };
  }

  /** An alias means its command, as everywhere. */
  #name(words: readonly string[]): string {
    const typed = words.join(' ');
    const id = words.join(':');
    const owner = this.config.commands.find(
      ({ aliases, hiddenAliases }) => aliases.includes(id) || hiddenAliases.includes(id),
    );
    return owner?.id.replaceAll(':', ' ') ?? typed;
  }
}
