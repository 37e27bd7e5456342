// One SCSI command of a scripted initiator, from its CDB to its answer.
import assert from 'node:assert/strict';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { dataInResidual } from '../../src/iscsi/wire/data-in.js';
import { parseResponseData, parseScsiResponse } from '../../src/iscsi/wire/scsi-response.js';
import { parseSense, type Sense } from '../../src/scsi/sense.js';
import type { Pdu, ScriptedInitiator } from './scripted-initiator.js';

export interface Answer {
  readonly status: number;
  /** key/asc/ascq in hex, or '' without sense. */
  readonly sense: string;
  readonly information: number | undefined;
  readonly data: Buffer;
}

export interface Transfer {
  /** Bytes of Data-In that the initiator has room for. */
  readonly read?: number;
  readonly data?: Buffer;
  readonly lun?: number;
}

/** Sends one command, and returns its task tag; `cdb` in hex is padded with zeros. */
export function begin(initiator: ScriptedInitiator, cdb: string, { data, read = 0, lun = 0 }: Transfer = {}): number {
  if (data !== undefined && data.length > 0) return initiator.command(cdb, { write: data.length, data, lun });
  return initiator.command(cdb, { read, lun });
}

/** Runs one command to its end and puts its answer together. */
export async function run(initiator: ScriptedInitiator, cdb: string, transfer: Transfer = {}): Promise<Answer> {
  begin(initiator, cdb, transfer);
  return answerOf(await initiator.settle(), transfer.read ?? 0);
}

/** What `pdus` answer to the one command that they belong to. */
export function answerOf(pdus: readonly Pdu[], read = 0): Answer {
  const parts = pdus.filter((pdu) => pdu.opcode === Opcode.DataIn);
  const response = pdus.find((pdu) => pdu.opcode === Opcode.ScsiResponse);
  const bytes = Buffer.concat(parts.map((pdu) => pdu.data));
  if (response === undefined) {
    const last = parts.at(-1);
    assert.ok(last, 'no answer');
    assert.equal(dataInResidual(last.header), Math.abs(read - bytes.length) || dataInResidual(last.header));
    return { status: last.header[3] ?? 0, sense: '', information: undefined, data: bytes };
  }
  const sense = parseSense(parseResponseData(response.data).sense);
  return {
    status: parseScsiResponse(response.header).status,
    sense: sense === null ? '' : senseText(sense),
    information: sense?.information,
    data: bytes,
  };
}

export function senseText({ key, asc, ascq }: Sense): string {
  return [key, asc, ascq].map((n) => n.toString(16).padStart(2, '0')).join('/');
}
