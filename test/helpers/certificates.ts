// Certificates of a test's own, made with openssl(1), in the folder layout of libnbd and QEMU.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const opensslMissing = existsSync('/usr/bin/openssl')
  ? false
  : 'openssl is not installed: apt-get install openssl';

/** A certificate authority, with folders of what it has signed. */
export class Authority {
  readonly folder: string;

  constructor(name = 'lunctl test authority') {
    this.folder = mkdtempSync(join(tmpdir(), 'lunctl-ca-'));
    writeFileSync(join(this.folder, 'index.txt'), '');
    writeFileSync(
      join(this.folder, 'ca.cnf'),
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${this.folder}/index.txt\ndefault_md=sha256\ndefault_crl_days=30\n`,
    );
    const subject = ['-subj', `/CN=${name}`];
    const usage = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
    this.#openssl('req', '-x509', ...newKey('ca-key.pem'), ...subject, ...usage, '-days', '30', '-out', 'ca-cert.pem');
  }

  /** A folder for both ends of `127.0.0.1` and `localhost`: ca-cert.pem, server-*.pem, client-*.pem. */
  issue(name: string, { ca = true, days = 30, clientUsage = 'clientAuth' } = {}): string {
    const folder = join(this.folder, name);
    mkdirSync(folder);
    if (ca) copyFileSync(join(this.folder, 'ca-cert.pem'), join(folder, 'ca-cert.pem'));
    this.#sign(folder, 'server', 'serverAuth', days);
    this.#sign(folder, 'client', clientUsage, days);
    return folder;
  }

  /** Revokes the client's certificate of `issued`, and puts the list of revocations into `into`. */
  revokeClient(issued: string, into: string): void {
    const by = ['-config', 'ca.cnf', '-keyfile', 'ca-key.pem', '-cert', 'ca-cert.pem'];
    if (issued !== '') this.#openssl('ca', ...by, '-revoke', join(issued, 'client-cert.pem'));
    this.#openssl('ca', ...by, '-gencrl', '-out', join(into, 'ca-crl.pem'));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  #sign(folder: string, end: 'server' | 'client', usage: string, days: number): void {
    const extensions = join(folder, `${end}.ext`);
    writeFileSync(extensions, `subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=${usage}\n`);
    const request = join(folder, `${end}.csr`);
    this.#openssl('req', '-new', ...newKey(join(folder, `${end}-key.pem`)), '-subj', `/CN=${end}`, '-out', request);
    const signer = ['-CA', 'ca-cert.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-days', String(days)];
    const out = ['-extfile', extensions, '-out', join(folder, `${end}-cert.pem`)];
    this.#openssl('x509', '-req', '-in', request, ...signer, ...out);
    chmodSync(join(folder, `${end}-key.pem`), 0o600);
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

function newKey(path: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', path];
}
