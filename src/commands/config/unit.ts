// Unit files for systemd, to standard output.

import { join } from 'node:path';
import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import type { configUnit } from '../../cli/schemas/config.js';
import type { Result } from '../../cli/schemas/parts.js';
import { loginUnit, serveUnit } from '../../services/unit-file.js';

export default class ConfigUnit extends BaseCommand {
  static override summary = 'Print a unit file for systemd';
  static override description =
    'login: logs in at boot with every record whose node.startup is automatic, and ends all sessions in order at shutdown. serve: serves the saved configuration of the target from boot to shutdown. The file names this installation by its absolute paths.';
  static override examples = [
    '<%= config.bin %> config unit login > /etc/systemd/system/lunctl-login.service',
    'systemctl enable --now lunctl-login.service',
    '<%= config.bin %> config unit serve > /etc/systemd/system/lunctl-serve.service',
  ];
  static override args = {
    name: Args.string({ description: 'Which unit.', options: ['login', 'serve'], required: true }),
  };

  async run(): Promise<Result<typeof configUnit>> {
    const { args } = await this.parse(ConfigUnit);
    const program = { node: process.execPath, script: join(this.config.root, 'bin/run.js') };
    const text = args.name === 'serve' ? serveUnit(program, this.paths.targetConfig) : loginUnit(program);
    this.render(text);
    return { name: `lunctl-${args.name}.service`, text };
  }
}
