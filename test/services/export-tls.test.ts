// NBD over TLS with the clients that people use: certificates and pre-shared keys, and every way in that must be shut.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ExportTable } from '../../src/nbd/exports.js';
import { Option, OptionReply } from '../../src/nbd/wire/constants.js';
import { ExportServer } from '../../src/services/export-server.js';
import type { SessionLog } from '../../src/services/session/log.js';
import { certificateAcceptor, pskAcceptor } from '../../src/services/tls-files.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { Authority, opensslMissing } from '../helpers/certificates.js';
import { clientFlags, infoData, option, readOptionReplies } from '../helpers/nbd-wire.js';
import { run } from '../helpers/programs.js';
import { pattern, until } from '../helpers/stream-core.js';

const missing = existsSync('/usr/bin/nbdinfo')
  ? opensslMissing
  : 'nbdinfo is not installed: apt-get install libnbd-bin';
const SIZE = 2 ** 23;
const KEY = '5a'.repeat(32);

describe('the NBD server over TLS', { skip: missing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-tls-'));
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const log: SessionLog = { debug: () => {}, info: () => {}, warn: note, error: note };
  let authority: Authority;
  let stranger: Authority;
  let good: string;
  let server: ExportServer | null = null;

  const listen = async (tls: Awaited<ReturnType<typeof pskAcceptor>>, mostClients?: number) => {
    const device = new MemoryDevice({ sizeBytes: SIZE });
    const exports = new ExportTable([{ name: 'lun0', description: 'a disk', device, readOnly: false }]);
    const path = { host: '127.0.0.1', port: 0, tls };
    const bound = mostClients === undefined ? {} : { mostClients };
    server = await ExportServer.listen({ path, exports, pool: new BufferPool(), log, ...bound });
    return server.port;
  };
  const uri = (port: number, certificates: string) => `nbds://127.0.0.1:${port}/lun0?tls-certificates=${certificates}`;
  const pskFile = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };

  /** Past the greeting in plain text. */
  const greeted = async (port: number) => {
    const socket = connect(port, '127.0.0.1');
    const received: Buffer[] = [];
    socket.on('data', (chunk) => received.push(chunk)).on('error', () => {});
    const all = () => Buffer.concat(received);
    await until(() => all().length === 18, 'the greeting is there');
    received.length = 0;
    return { socket, all, closed: new Promise<void>((resolve) => socket.once('close', () => resolve())) };
  };

  before(() => {
    authority = new Authority();
    stranger = new Authority('somebody else');
    good = authority.issue('good');
  });
  afterEach(async () => {
    await server?.shutdown(100);
    server = null;
    lines.length = 0;
  });
  after(() => {
    authority.remove();
    stranger.remove();
    rmSync(folder, { recursive: true });
  });

  it('serves nbdinfo, nbdcopy and qemu-img with certificates, byte for byte', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const info = await run('nbdinfo', uri(port, good));
    assert.equal(info.code, 0, info.stderr);
    assert.match(info.stdout, /newstyle-fixed with TLS, using structured packets/);
    const listed = await run('nbdinfo', '--list', '--json', uri(port, good));
    assert.equal(JSON.parse(listed.stdout).TLS, true);
    const image = join(folder, 'image');
    writeFileSync(image, pattern(SIZE, 7));
    const copied = await run('nbdcopy', image, uri(port, good));
    assert.equal(copied.code, 0, copied.stderr);
    const back = join(folder, 'back');
    const credentials = `tls-creds-x509,id=tls0,endpoint=client,dir=${good}`;
    const from = `driver=nbd,server.type=inet,server.host=127.0.0.1,server.port=${port},export=lun0,tls-creds=tls0`;
    const qemu = await run('qemu-img', 'convert', '--object', credentials, '--image-opts', from, '-O', 'raw', back);
    assert.equal(qemu.code, 0, qemu.stderr);
    assert.ok(readFileSync(back).equals(readFileSync(image)));
    assert.deepEqual(lines, []);
  });

  it('serves libnbd and QEMU with pre-shared keys', async () => {
    const keys = pskFile('keys.psk', `# a comment\nalice:${KEY}\nbob:${'a5'.repeat(32)}\n`);
    const port = await listen(await pskAcceptor(keys));
    const info = await run('nbdinfo', `nbds://alice@127.0.0.1:${port}/lun0?tls-psk-file=${keys}`);
    assert.equal(info.code, 0, info.stderr);
    assert.match(info.stdout, /with TLS/);
    const credentials = `tls-creds-psk,id=tls0,endpoint=client,dir=${folder},username=bob`;
    const at = `driver=nbd,server.type=inet,server.host=127.0.0.1,server.port=${port},export=lun0,tls-creds=tls0`;
    const qemu = await run(
      'qemu-io',
      '--object',
      credentials,
      '--image-opts',
      at,
      '-c',
      'write -P 5 0 64k',
      '-c',
      'read -P 5 0 64k',
    );
    assert.equal(qemu.code, 0, qemu.stderr + qemu.stdout);
    assert.deepEqual(lines, []);
  });

  it('refuses a wrong key and an unknown identity alike', async () => {
    const port = await listen(await pskAcceptor(pskFile('server.psk', `alice:${KEY}\n`)));
    const refused: string[] = [];
    for (const [who, line] of [
      ['alice', `alice:${'00'.repeat(32)}`],
      ['mallory', `mallory:${KEY}`],
    ]) {
      const ran = await run(
        'nbdinfo',
        `nbds://${who}@127.0.0.1:${port}/lun0?tls-psk-file=${pskFile('client.psk', `${line}\n`)}`,
      );
      assert.notEqual(ran.code, 0);
      refused.push(ran.stderr);
    }
    assert.equal(refused[0], refused[1]);
    const [first = '', second = ''] = lines.map((line) => line.replace(/:\d+ /, ' '));
    assert.match(first, /^NBD client 127\.0\.0\.1 dropped: TLS handshake failed: /);
    assert.equal(first, second);
    assert.equal(lines.length, 2);
  });

  it('refuses clients whose certificate another has signed, that have none, or whose was revoked', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const other = stranger.issue('other', { ca: false });
    // The client trusts us; its own certificate is the stranger's.
    writeFileSync(join(other, 'ca-cert.pem'), readFileSync(join(good, 'ca-cert.pem')));
    assert.notEqual((await run('nbdinfo', uri(port, other))).code, 0);
    const bare = join(folder, 'bare');
    mkdirSync(bare);
    writeFileSync(join(bare, 'ca-cert.pem'), readFileSync(join(good, 'ca-cert.pem')));
    assert.notEqual((await run('nbdinfo', uri(port, bare))).code, 0);
    await until(() => lines.length === 2, 'both are in the log');
    assert.match(lines[0] ?? '', /TLS handshake failed: .*certificate/);
    assert.match(lines[1] ?? '', /TLS handshake failed: .*certificate/);
  });

  it('refuses a certificate that was revoked, and takes the others', async () => {
    const strict = authority.issue('strict');
    const lost = authority.issue('lost');
    authority.revokeClient(lost, strict);
    const port = await listen(await certificateAcceptor(strict, undefined));
    assert.equal((await run('nbdinfo', uri(port, strict))).code, 0);
    assert.notEqual((await run('nbdinfo', uri(port, lost))).code, 0);
    await until(() => lines.length === 1, 'it is in the log');
    assert.match(lines[0] ?? '', /CERT_REVOKED/);
  });

  it('refuses a certificate that is over, or made for another purpose', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const over = authority.issue('over', { days: -1 });
    const misused = authority.issue('misused', { clientUsage: 'serverAuth' });
    for (const [i, folder] of [over, misused].entries()) {
      assert.notEqual((await run('nbdinfo', uri(port, folder))).code, 0);
      await until(() => lines.length === i + 1, 'it is in the log');
    }
    assert.match(lines[0] ?? '', /CERT_HAS_EXPIRED/);
    assert.match(lines[1] ?? '', /INVALID_PURPOSE/);
  });

  it('asks clients for no certificate where that is not wanted', async () => {
    const port = await listen(await certificateAcceptor(good, false));
    const bare = join(folder, 'anonymous');
    mkdirSync(bare);
    writeFileSync(join(bare, 'ca-cert.pem'), readFileSync(join(good, 'ca-cert.pem')));
    const info = await run('nbdinfo', uri(port, bare));
    assert.equal(info.code, 0, info.stderr);
  });

  it('tells a client without TLS what is missing, and shows it nothing', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const info = await run('nbdinfo', `nbd://127.0.0.1:${port}/lun0`);
    assert.notEqual(info.code, 0);
    assert.doesNotMatch(info.stdout, /lun0|a disk/);
    const listed = await run('nbdinfo', '--list', `nbd://127.0.0.1:${port}/`);
    assert.notEqual(listed.code, 0);
    assert.doesNotMatch(listed.stdout, /a disk/);
    const qemu = await run('qemu-img', 'info', `nbd://127.0.0.1:${port}/lun0`);
    assert.match(qemu.stderr, /TLS negotiation required/);
    const { socket, all } = await greeted(port);
    const asked = [Option.List, Option.StructuredReply, Option.Info, Option.Go, Option.ListMetaContext, 99];
    socket.write(Buffer.concat([clientFlags(3), ...asked.map((code) => option(code, infoData('lun0')))]));
    socket.write(option(Option.List, Buffer.alloc(9000)));
    const demanded = () => readOptionReplies(all()).map(({ type }) => type);
    await until(() => demanded().length === asked.length + 1, 'each has its answer');
    assert.ok(demanded().every((type) => type === OptionReply.ErrTlsReqd));
    socket.write(option(Option.Abort));
    await until(() => demanded().at(-1) === OptionReply.Ack, 'an orderly end is taken');
    const old = await greeted(port);
    old.socket.write(Buffer.concat([clientFlags(3), option(Option.ExportName, 'lun0')]));
    await old.closed;
    assert.equal(old.all().length, 0);
  });

  it('takes nothing that stands behind STARTTLS in the same segment', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const { socket, closed } = await greeted(port);
    socket.write(Buffer.concat([clientFlags(3), option(Option.StartTls), option(Option.StructuredReply)]));
    await closed;
    assert.match(lines.join('\n'), /plain text behind STARTTLS/);
  });

  it('ends a connection that goes on in plain text after STARTTLS', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const { socket, all, closed } = await greeted(port);
    socket.write(Buffer.concat([clientFlags(3), option(Option.StartTls)]));
    await until(() => all().length >= 20, 'the answer is there');
    assert.equal(readOptionReplies(all())[0]?.type, OptionReply.Ack);
    socket.write(option(Option.Go, infoData('lun0')));
    await closed;
    await until(() => lines.length === 1, 'it is in the log');
    assert.match(lines[0] ?? '', /TLS handshake failed: /);
    assert.doesNotMatch(lines[0] ?? '', /\n/);
  });

  /** Over TLS, past STARTTLS. */
  const secured = async (port: number, before: readonly Buffer[] = []) => {
    const { socket, all } = await greeted(port);
    socket.write(Buffer.concat([clientFlags(3), ...before, option(Option.StartTls)]));
    await until(
      () => all().length >= 20 && readOptionReplies(all()).at(-1)?.type === OptionReply.Ack,
      'the answer is there',
    );
    socket.removeAllListeners('data');
    const files = { ca: readFileSync(join(good, 'ca-cert.pem')) };
    const own = { cert: readFileSync(join(good, 'client-cert.pem')), key: readFileSync(join(good, 'client-key.pem')) };
    const inner: TLSSocket = connectTls({ socket, servername: 'localhost', ...files, ...own });
    const received: Buffer[] = [];
    inner.on('data', (chunk) => received.push(chunk)).on('error', () => {});
    await new Promise((resolve) => inner.once('secureConnect', resolve));
    return { inner, outer: socket, all: () => Buffer.concat(received) };
  };

  it('forgets on STARTTLS what was settled before, and refuses it a second time', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const { inner, all } = await secured(port, [option(Option.StructuredReply), option(Option.Info, infoData('lun0'))]);
    assert.equal(inner.getProtocol(), 'TLSv1.3');
    inner.write(option(Option.StartTls));
    await until(() => all().length >= 20, 'an answer');
    assert.equal(readOptionReplies(all())[0]?.type, OptionReply.ErrInvalid);
    inner.write(option(Option.Go, infoData('lun0')));
    await until(() => readOptionReplies(all()).at(-1)?.type === OptionReply.Ack, 'the export is open');
    const flags =
      readOptionReplies(all())
        .find(({ type }) => type === OptionReply.Info)
        ?.data.readUInt16BE(10) ?? 0;
    assert.equal(flags & 0x80, 0, 'DF is offered with structured replies only');
    inner.destroy();
  });

  it('ends a connection whose records were tampered with, in one line', async () => {
    const port = await listen(await certificateAcceptor(good, undefined));
    const { inner, outer, all } = await secured(port);
    inner.write(option(Option.StructuredReply));
    await until(() => all().length === 20, 'TLS is up at the other end too');
    // Application data of 64 bytes that nobody has encrypted.
    outer.write(Buffer.concat([Buffer.from('1703030040', 'hex'), Buffer.alloc(64, 0xee)]));
    await until(() => lines.length === 1, 'it is in the log');
    assert.match(lines[0] ?? '', /^NBD client 127\.0\.0\.1:\d+ dropped: TLS with .* broke: /);
    assert.doesNotMatch(lines[0] ?? '', /\n/);
    assert.equal((await run('nbdinfo', '--size', uri(port, good))).stdout.trim(), String(SIZE));
  });

  it('takes nothing older than TLS 1.2', async () => {
    const port = await listen(await certificateAcceptor(good, false));
    const { socket, all } = await greeted(port);
    socket.write(Buffer.concat([clientFlags(3), option(Option.StartTls)]));
    await until(() => all().length >= 20, 'the answer is there');
    socket.removeAllListeners('data');
    const inner = connectTls({
      socket,
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const error = await new Promise<Error>((resolve) => inner.once('error', resolve));
    assert.match(error.message, /protocol version|alert/i);
    await until(() => lines.length === 1, 'it is in the log');
  });

  it('makes room for the next by dropping the oldest that has opened nothing', async () => {
    const port = await listen(await certificateAcceptor(good, undefined), 4);
    const idle = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}));
    await until(() => lines.length === 4, 'four had to go');
    const info = await run('nbdinfo', '--size', uri(port, good));
    assert.equal(info.stdout.trim(), String(SIZE), info.stderr);
    for (const socket of idle) socket.destroy();
  });
});

describe('files of TLS credentials', { skip: opensslMissing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-tls-files-'));
  after(() => rmSync(folder, { recursive: true }));
  const write = (text: string, mode = 0o600) => {
    const path = join(folder, 'keys.psk');
    rmSync(path, { force: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };

  it('are refused if others may read the secret in them', async () => {
    for (const mode of [0o640, 0o604, 0o666]) {
      await assert.rejects(pskAcceptor(write(`a:${KEY}\n`, mode)), {
        code: 'ERR_ACCESS',
        message: /can be read by others/,
      });
    }
    const authority = new Authority();
    const good = authority.issue('good');
    chmodSync(join(good, 'server-key.pem'), 0o644);
    await assert.rejects(certificateAcceptor(good, undefined), { code: 'ERR_ACCESS' });
    authority.remove();
  });

  it('are refused when they say nothing usable, without showing what they say', async () => {
    const secret = 'deadbeef';
    for (const text of [
      '',
      '# nothing\n',
      `alice\n`,
      `:${KEY}\n`,
      `alice:${secret}\n`,
      `alice:${KEY}zz\n`,
      `a:${KEY}\na:${KEY}\n`,
      `${'n'.repeat(129)}:${KEY}\n`,
      `a:${'00'.repeat(65)}\n`,
    ]) {
      await assert.rejects(pskAcceptor(write(text)), (error: Error & { code?: string; hint?: string }) => {
        assert.equal(error.code, 'ERR_USAGE');
        assert.doesNotMatch(`${error.message} ${error.hint}`, /deadbeef|5a5a/);
        return true;
      });
    }
  });

  it("are refused when the key is not the certificate's, or a file is missing", async () => {
    const authority = new Authority();
    const [one, two] = [authority.issue('one'), authority.issue('two', { ca: false })];
    writeFileSync(join(one, 'server-key.pem'), readFileSync(join(two, 'server-key.pem')), { mode: 0o600 });
    await assert.rejects(certificateAcceptor(one, undefined), {
      code: 'ERR_USAGE',
      message: /cannot be used: key values mismatch/,
    });
    await assert.rejects(certificateAcceptor(two, true), { code: 'ERR_USAGE', message: /no .*ca-cert\.pem/ });
    await assert.rejects(certificateAcceptor(folder, undefined), { code: 'ERR_USAGE', message: /does not exist/ });
    authority.remove();
  });
});
