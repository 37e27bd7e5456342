// A scripted initiator in full feature phase, in front of a disk whose requests a test can hold back.
import assert from 'node:assert/strict';
import type { BlockRequest } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { parseResponseData, parseScsiResponse } from '../../src/iscsi/wire/scsi-response.js';
import { parseSense } from '../../src/scsi/sense.js';
import { makeNode, type Pdu, ScriptedInitiator } from './scripted-initiator.js';

/** A memory disk whose requests of one kind wait for the test. */
export class HeldDevice extends MemoryDevice {
  readonly held: (() => void)[] = [];
  holding: number | null = null;
  override submit(request: BlockRequest): void {
    if (request.op === this.holding) this.held.push(() => super.submit(request));
    else super.submit(request);
  }
}

export function ready(keys: [string, string][] = [], device = new HeldDevice({ sizeBytes: 2 ** 22 })) {
  const node = makeNode({ device });
  const initiator = new ScriptedInitiator(node);
  initiator.logIn([['InitialR2T', 'No'], ['MaxRecvDataSegmentLength', '8192'], ...keys] as [string, string][]);
  initiator.clearAttention();
  return { node, initiator, device };
}

export function responseOf(pdu: Pdu | undefined) {
  assert.equal(pdu?.opcode, Opcode.ScsiResponse);
  const { header, data } = pdu as Pdu;
  const { sense } = parseResponseData(data);
  return { ...parseScsiResponse(header), sense: sense.length > 0 ? parseSense(sense) : null };
}

export function senseOf(pdu: Pdu | undefined): string {
  const { sense } = responseOf(pdu);
  return [sense?.key, sense?.asc, sense?.ascq].map((n) => (n ?? 0).toString(16).padStart(2, '0')).join('/');
}
