// An istgt of a test's own: on a free port, with a configuration and a disk in a temporary folder.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accepts, ended, freePort } from './tgt.js';

export const ISTGT_TARGET = 'iqn.2022-08.com.test:istgt01';

/** Why tests against istgt cannot run here, or false. */
export function istgtMissing(): string | false {
  return existsSync('/usr/sbin/istgt') ? false : 'istgt is not installed: apt-get install istgt';
}

export interface Istgt {
  readonly port: number;
  /** The file behind LUN 0. */
  readonly image: string;
  readonly folder: string;
  stop(): Promise<void>;
}

interface Account {
  readonly user: string;
  readonly secret: string;
}

/**
 * Starts istgt with one target and one disk as LUN 0; `account` demands CHAP. `mutual` is what istgt proves in return;
 * with it discovery wants CHAP too.
 */
export async function startIstgt(
  megabytes: number,
  account: Account | null,
  mutual?: Account,
  blockLength = 512,
): Promise<Istgt> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-istgt-'));
  const image = join(folder, 'disk');
  writeFileSync(image, '');
  truncateSync(image, megabytes * 2 ** 20);
  const port = await freePort();
  const controlPort = await freePort();
  const auth = join(folder, 'auth.conf');
  const proof = `"${mutual?.user ?? ''}" "${mutual?.secret ?? ''}"`;
  const secret = account === null ? '' : `\n  Auth "${account.user}" "${account.secret}" ${proof}`;
  writeFileSync(auth, `[AuthGroup1]\n  Comment "test"${secret}\n[AuthGroup10000]\n  Comment "control"\n`, {
    mode: 0o600,
  });
  const config = join(folder, 'istgt.conf');
  writeFileSync(
    config,
    configuration({
      folder,
      auth,
      image,
      port,
      controlPort,
      megabytes,
      blockLength,
      chap: account !== null,
      discovery: mutual !== undefined,
    }),
  );
  chmodSync(config, 0o600);
  const child = spawn('/usr/sbin/istgt', ['-D', '-q', '-c', config], { stdio: 'ignore' });
  await accepts(port, child);
  return {
    port,
    image,
    folder,
    async stop() {
      await ended(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Settings {
  folder: string;
  auth: string;
  image: string;
  port: number;
  controlPort: number;
  megabytes: number;
  blockLength: number;
  chap: boolean;
  discovery: boolean;
}

function configuration({
  folder,
  auth,
  image,
  port,
  controlPort,
  megabytes,
  blockLength,
  chap,
  discovery,
}: Settings): string {
  return `[Global]
  NodeBase "iqn.2022-08.com.test"
  PidFile ${join(folder, 'pid')}
  AuthFile ${auth}
  MediaDirectory ${folder}
  LogFacility "local7"
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod ${discovery ? 'CHAP\n  DiscoveryAuthGroup AuthGroup1' : 'Auto'}
  MaxSessions 16
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  DefaultTime2Wait 2
  DefaultTime2Retain 60
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
  InitialR2T Yes
  ImmediateData Yes
  DataPDUInOrder Yes
  DataSequenceInOrder Yes
  ErrorRecoveryLevel 0
[UnitControl]
  AuthMethod CHAP Mutual
  AuthGroup AuthGroup10000
  Portal UC1 127.0.0.1:${controlPort}
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 127.0.0.1:${port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.0/8
[LogicalUnit1]
  TargetName istgt01
  TargetAlias "Data Disk1"
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod ${chap ? 'CHAP' : 'Auto'}
  AuthGroup AuthGroup1
  UseDigest Auto
  UnitType Disk
  BlockLength ${blockLength}
  LUN0 Storage ${image} ${megabytes}MB
`;
}
