// LIO, set up by targetcli as for the recordings. Only in the kernel lab.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ground, INITIATOR, type OfferedTarget, PORT, type Proof } from './ground.js';

const CONFIG = '/sys/kernel/config/target/iscsi';
const IMAGES = '/var/lib/iscsi_disks';

export class LioGround implements Ground {
  readonly name = 'lio';
  readonly devices = true;
  #disks = 0;

  async offer(targets: readonly OfferedTarget[]): Promise<void> {
    execFileSync('mkdir', ['-p', IMAGES]);
    targetcli(['clearconfig confirm=True', 'set global auto_add_default_portal=false auto_save_on_exit=false']);
    targetcli(targets.flatMap((target) => this.#commands(target)));
  }

  async addLun(targetName: string): Promise<void> {
    targetcli(this.#lun(targetName, 64));
  }

  async answer(targetName: string, answers: boolean): Promise<void> {
    writeFileSync(join(CONFIG, targetName, 'tpgt_1/enable'), answers ? '1' : '0');
  }

  async discoveryProof(proof: Proof | null): Promise<void> {
    if (proof === null) {
      targetcli(['/iscsi set discovery_auth enable=0']);
      return;
    }
    const { account, mutual } = proof;
    const both = mutual === null ? '' : ` mutual_userid=${mutual.user} mutual_password=${mutual.secret}`;
    targetcli([`/iscsi set discovery_auth enable=1 userid=${account.user} password=${account.secret}${both}`]);
  }

  async close(): Promise<void> {
    targetcli(['clearconfig confirm=True']);
  }

  #commands({ name, addresses, access, proof, luns }: OfferedTarget): string[] {
    const group = `/iscsi/${name}/tpg1`;
    const commands = [`/iscsi create ${name}`, ...luns.flatMap((mebibytes) => this.#lun(name, mebibytes))];
    for (const address of addresses) commands.push(`${group}/portals create ${address} ${PORT}`);
    if (access === 'everyone') {
      commands.push(`${group} set attribute generate_node_acls=1 demo_mode_write_protect=0 cache_dynamic_acls=1`);
    }
    if (access === 'acl') commands.push(`${group}/acls create ${INITIATOR}`);
    if (proof !== null) {
      const { account, mutual } = proof;
      const both = mutual === null ? '' : ` mutual_userid=${mutual.user} mutual_password=${mutual.secret}`;
      commands.push(`${group} set attribute authentication=1`);
      commands.push(`${group}/acls/${INITIATOR} set auth userid=${account.user} password=${account.secret}${both}`);
    }
    return commands;
  }

  #lun(targetName: string, mebibytes: number): string[] {
    const disk = `disk${String(++this.#disks).padStart(2, '0')}`;
    return [
      `/backstores/fileio create ${disk} ${IMAGES}/${disk}.img ${mebibytes}M`,
      `/iscsi/${targetName}/tpg1/luns create /backstores/fileio/${disk}`,
    ];
  }
}

/** One session for all, because the start of targetcli is what takes time. @throws with its words when a command has failed */
function targetcli(commands: readonly string[]): void {
  const input = `${[...commands, 'exit'].join('\n')}\n`;
  const out = execFileSync('sh', ['-c', 'targetcli 2>&1'], { input, encoding: 'utf8' });
  const said = out.replace(/^Warning: Could not load preferences.*$/m, '');
  if (/error|invalid|cannot|could not|unexpected|no such/i.test(said)) throw new Error(`targetcli:\n${out}`);
}
